"""python -m jobs.requeue: puts row versions back on the scoring queue. By default it repairs: it
queues unlabelled versions that have no prediction or rejection and are not queued, such as rows
that were written while the database's triggers were switched off."""

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser
from pima.logs import counted
from pima.runs.recorded_run import as_json
from pima.store.engine import without_time_limit, writing
from pima.store.rows import queue


def _options(options: OptionParser) -> None:
    which = options.add_mutually_exclusive_group()
    which.add_argument(
        "--stale",
        action="store_true",
        help="queue versions that today's champion has not predicted",
    )
    which.add_argument(
        "--rejected",
        action="store_true",
        help="queue versions that were rejected, to be judged again",
    )


def _work(command: Command) -> Result:
    given = command.options
    with writing(command.engine) as connection:
        without_time_limit(connection)
        if given.stale:
            return as_json(queue.requeue_stale(connection))
        if given.rejected:
            return as_json(queue.requeue_rejected(connection))
        return as_json(queue.requeue_lost(connection))


def _show(result: Result) -> None:
    print(f"{counted(result['requeued'], 'row version')} put on the queue")
    if result["skipped"]:
        print(
            f"{result['skipped']:,} left out, since others are changing their rows: run this again"
        )


main = main_of("jobs.requeue", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
