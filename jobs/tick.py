"""A scheduled run's tick: the moment it is due, which only one run of the job may have."""

import argparse
from datetime import datetime


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
