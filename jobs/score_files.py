"""Scoring from files to files: the options of `jobs.score` for it, and the work."""

import argparse
from pathlib import Path

from jobs.command import Command, Result
from pima.errors import WrongUsage
from pima.logs import counted, tell
from pima.watch.suspension import in_words


def add_file_options(options: argparse.ArgumentParser) -> None:
    """Add the options for files, which exclude those for the queue."""
    files = options.add_argument_group("files to files")
    files.add_argument(
        "--from", dest="dataset", metavar="DATASET", help="Parquet: a file, a folder or a URL"
    )
    files.add_argument(
        "--to",
        dest="into",
        metavar="DATASET",
        help="a folder or a URL for Parquet and manifest.json",
    )
    files.add_argument(
        "--model", metavar="N|FILE", help="a version, or a model file (default: the champion)"
    )
    files.add_argument(
        "--key",
        action="append",
        default=[],
        dest="keys",
        metavar="COLUMN",
        help=(
            "a column to keep with each prediction; may be repeated (default: id, source, "
            "source_key and person_key)"
        ),
    )


def is_of_files(given: argparse.Namespace) -> bool:
    """Whether to score files and not the queue."""
    return any((given.dataset, given.into, given.model, given.keys))


def needs_database(given: argparse.Namespace) -> bool:
    """Whether a database is needed: not to score files with a model file."""
    return not is_of_files(given) or _number(given) is not None or given.model is None


def _number(given: argparse.Namespace) -> int | None:
    text = given.model or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def score_dataset(command: Command) -> Result:
    """Score a dataset, and return the result as JSON."""
    # These import pandas and pyarrow, which the queue does not need.
    from pima.files.model_file import content_of, model_file, read_model
    from pima.files.places import seen_from_everywhere
    from pima.files.scoring import (
        open_dataset,
        score_files,
        score_files_on_workers,
        score_missing,
    )

    given = command.options
    if given.dataset is None or given.into is None:
        raise WrongUsage(
            what="files are scored by --from DATASET and --to DATASET together; see --help"
        )
    if given.limit or given.batch_size or given.dry_run or given.run_id:
        raise WrongUsage(
            what="--limit, --batch-size, --dry-run and --run-id are for the queue, not for --from"
        )
    content = (
        model_file(command.engine, _number(given))
        if needs_database(given)
        else content_of(Path(given.model))
    )
    model = read_model(Path(given.model or "the champion"), content)
    if model.suspended_at is not None and not needs_database(given):
        stop = in_words(model.suspended_at)
        what = f"Version {model.version}{stop}, when its file was written: ask before you act."
        tell(what, "warning")
    if not given.dask:
        found = open_dataset(given.dataset, given.into, model, given.keys)
        return score_files(found, score_missing(found, command.stop))
    from pima.dask.workers import reached

    dataset = seen_from_everywhere(given.dataset)
    into = seen_from_everywhere(given.into)
    found = open_dataset(dataset, into, model, given.keys)
    workers = reached(given.dask, command.settings, command.environ, command.stop)
    return score_files_on_workers(found, dataset, into, content, workers)


def show_dataset(result: Result) -> None:
    """Print the result for people."""
    before = f", {result['parts_before']:,} of them already there" if result["parts_before"] else ""
    print(
        f"{counted(result['rows'], 'row')} of {counted(result['files'], 'file')}: "
        f"{result['predicted']:,} predicted by model version {result['model_version']}, "
        f"{result['rejected']:,} rejected; {counted(result['parts'], 'part')}{before}"
    )
    if result["unknown_taken"]:
        print(
            f"  {counted(result['unknown_taken'], 'unknown value')} taken as the declaration says"
        )
