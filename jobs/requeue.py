"""python -m jobs.requeue: puts row versions back on the scoring queue. By default a repair: unlabelled versions
that have neither a prediction nor a rejection and do not wait, and rows that were written while the database's triggers
were switched off."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pima.core.wording import counted

from jobs.command import Command, Result, parser, run_command
from pima.process.recorded_run import as_json
from pima.store import queue
from pima.store.engine import without_time_limit, writing


@dataclass(frozen=True, slots=True)
class Requeued:
    """What was put on the queue because it was asked for."""

    requeued: int
    """Row versions."""


@dataclass(frozen=True, slots=True)
class Repaired:
    """What was put right."""

    mended: int
    """Rows and queue entries that the triggers had not seen."""
    requeued: int
    """Row versions that were lost."""
    below_predicted: int
    """Waiting rows with a version below one that was predicted for the same id."""


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command, with everything injected; returns the exit code."""
    options = parser("requeue", __doc__ or "")
    which = options.add_mutually_exclusive_group()
    which.add_argument("--stale", action="store_true", help="queue versions that today's champion has not predicted")
    which.add_argument(
        "--new-versions",
        action="store_true",
        help="draw another version for waiting rows whose version today's champion has predicted (version_used_twice),"
        " and for rows whose version lies below one that was predicted for the same id; as the owner",
    )
    which.add_argument("--rejected", action="store_true", help="queue versions that were rejected, to be judged again")
    return run_command(options, _work, _show, arguments, environ)


def _work(command: Command) -> Result:
    given = command.options
    with writing(command.engine) as connection:
        without_time_limit(connection)
        if given.stale:
            return as_json(Requeued(queue.requeue_stale(connection)))
        if given.new_versions:
            queue.mend_unseen(connection)
            return as_json(Requeued(queue.draw_new_versions(connection)))
        if given.rejected:
            return as_json(Requeued(queue.requeue_rejected(connection)))
        mended, lost = queue.mend_unseen(connection), queue.requeue_lost(connection)
        return as_json(Repaired(mended, lost, queue.count_below_predicted(connection)))


def _show(result: Result) -> None:
    if result.get("mended"):
        print(f"rows and queue entries mended that the triggers had not seen: {result['mended']:,}")
    print(f"{counted(result['requeued'], 'row version')} put on the queue")
    if result.get("below_predicted"):
        print(told_below_predicted(result["below_predicted"]))


def told_below_predicted(rows: int) -> str:
    """Tell what is wrong with so many waiting rows, and what to do."""
    waiting = counted(rows, "waiting row")
    return (
        f"{waiting} with a version below one that was predicted for the same id: have the owner run\n"
        "python -m jobs.requeue --new-versions, or current_predictions goes on showing that prediction"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
