"""python -m jobs.score: the nightly job, which scores the rows that wait on the queue with the
current champion. With --input and --output it scores the rows of CSV and Parquet files, for which a
model file is enough."""

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser, add_run_id_option, from_one, whole_number
from jobs.score_files import (
    add_file_options,
    is_of_files,
    needs_database,
    score_input,
    show_files,
)
from pima.core.declared.features import names_of
from pima.core.nights.unpredicted import Rule
from pima.logs import counted, in_brackets
from pima.scoring import ScoreOptions, score_queue
from pima.settings.sections import LARGEST_BATCH
from pima.store.service.runs import SUSPENDED
from pima.watch.suspension import run_in_words


def _options(options: OptionParser) -> None:
    options.add_argument("--limit", type=from_one, metavar="N", help="score at most N rows")
    options.add_argument(
        "--batch-size",
        type=whole_number(LARGEST_BATCH),
        metavar="N",
        help="rows in one transaction",
    )
    options.add_argument(
        "--dry-run", action="store_true", help="score and count, but write only the run's own row"
    )
    options.add_argument(
        "--dask",
        metavar="ADDRESS",
        help=(
            "score on the workers of the Dask cluster with this scheduler; local: on a worker for "
            "each core"
        ),
    )
    add_run_id_option(options)
    add_file_options(options)


def _work(command: Command) -> Result:
    given = command.options
    configured = command.settings.score
    if is_of_files(given):
        return score_input(command)
    rule = Rule(command.settings.health.limits, tuple(command.settings.source_names))
    rows = given.batch_size or configured.batch_rows
    scores = names_of(command.declared.present_scores)
    options = ScoreOptions(rows, given.limit, given.dry_run, configured.workers, rule, scores)
    address = configured.dask if given.dask is None else given.dask
    with command.recorded_run("score") as run:
        if address:
            # Imported here: a single process needs nothing of it.
            from pima.dask.night import score_on_workers
            from pima.dask.workers import reached

            workers = reached(address, command.settings, command.environ, command.stop)
            score_on_workers(command.engine, run, options, workers, command.stop)
        else:
            score_queue(command.engine, run, options, command.stop)
    return {"run_id": run.id, "dry_run": given.dry_run, **run.counts}


def _show(result: Result) -> None:
    if "files" in result:
        show_files(result)
    elif "run_id" in result:
        by_model = f" by model version {result['model_version']}" if result["model_version"] else ""
        dry_run = in_brackets(result["dry_run"] and "dry run, nothing written")
        print(
            f"run {result['run_id']}: {counted(result['claimed'], 'row')} claimed, "
            f"{result['predicted']:,} predicted{by_model}, {result['rejected']:,} rejected, "
            f"{result['already_scored']:,} scored before{dry_run}"
        )
        if SUSPENDED in result:
            print(run_in_words(**result[SUSPENDED]))


main = main_of(
    "jobs.score",
    __doc__,
    _work,
    _show,
    _options,
    job="score",
    needs_schema=needs_database,
    is_run=lambda given: not is_of_files(given),
)

if __name__ == "__main__":
    end_with(main)
