"""A scheduled run's tick: the moment it is due, which only one run of the job may have."""

import argparse
from datetime import UTC, datetime


def add_tick_option(options: argparse.ArgumentParser) -> None:
    """The option by which the scheduler names the tick to its child process."""
    options.add_argument(
        "--scheduled-for", type=_moment, metavar="TIME", help="the tick that this run is for, ISO 8601 with an offset"
    )


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min.replace(tzinfo=UTC)
    if moment.tzinfo is None or moment.year < 1970:
        raise argparse.ArgumentTypeError("expected a time with an offset, such as 2026-03-01T02:15:00+00:00")
    return moment
