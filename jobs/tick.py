"""A scheduled run's tick: the moment it is due, which only one run of the job may have."""

import argparse
from datetime import datetime

from jobs.command import Command
from pima.store.engine import reading
from pima.store.runs import tick_is_taken


def add_tick_option(options: argparse.ArgumentParser) -> None:
    """The option by which the scheduler names the tick to its child process."""
    options.add_argument(
        "--scheduled-for", type=_moment, metavar="TIME", help="the tick that this run is for, ISO 8601 with an offset"
    )


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise argparse.ArgumentTypeError("expected a time with an offset, such as 2026-03-01T02:15:00+00:00")
    return moment


def already_run(command: Command, job: str) -> bool:
    """Whether another scheduler has started this tick.

    Two that pass here at once are told apart by the ledger's unique constraint; this check only spares the usual
    second one its error.
    """
    if command.options.scheduled_for is None:
        return False
    with reading(command.engine) as connection:
        return tick_is_taken(connection, job, command.options.scheduled_for)
