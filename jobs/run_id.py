"""A scheduled run's row in `runs`, opened by the scheduler before it starts the job."""

import argparse

from jobs.command import positive


def add_run_id_option(options: argparse.ArgumentParser) -> None:
    """The option by which the scheduler tells its child which run it is."""
    options.add_argument(
        "--run-id", type=positive, metavar="N", help="for the scheduler only: the run that it has opened"
    )
