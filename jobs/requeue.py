"""python -m jobs.requeue: puts row versions back on the scoring queue. By default a repair: unlabelled versions
that have neither a prediction nor a rejection and do not wait, such as rows that were written while the database's
triggers were switched off."""

from collections.abc import Mapping, Sequence

from jobs.command import Command, Result, end_with, parser, run_command
from pima.logs import counted
from pima.store import queue
from pima.store.engine import without_time_limit, writing


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    options = parser("requeue", __doc__)
    which = options.add_mutually_exclusive_group()
    which.add_argument("--stale", action="store_true", help="queue versions that today's champion has not predicted")
    which.add_argument("--rejected", action="store_true", help="queue versions that were rejected, to be judged again")
    return run_command(options, _work, _show, arguments, environ)


def _work(command: Command) -> Result:
    given = command.options
    with writing(command.engine) as connection:
        without_time_limit(connection)
        if given.stale:
            return {"requeued": queue.requeue_stale(connection)}
        if given.rejected:
            return {"requeued": queue.requeue_rejected(connection)}
        return {"requeued": queue.requeue_lost(connection)}


def _show(result: Result) -> None:
    print(f"{counted(result['requeued'], 'row version')} put on the queue")


if __name__ == "__main__":
    end_with(main)
