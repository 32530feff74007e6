"""Scoring from files to files: the options of `jobs.score` for it, and the work."""

import argparse
from collections import Counter
from pathlib import Path

from jobs.command import Command, Result
from pima.errors import WrongUsage
from pima.logs import counted, tell
from pima.watch.suspension import in_words


def add_file_options(options: argparse.ArgumentParser) -> None:
    """Add the options for files, which exclude those for the queue."""
    files = options.add_argument_group("files to files")
    files.add_argument(
        "--input", type=Path, metavar="FILE|FOLDER", help="rows as CSV or Parquet, with a header"
    )
    files.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="another folder, for a file of the same name and format each",
    )
    files.add_argument(
        "--model", metavar="N|FILE", help="a version, or a model file (default: the champion)"
    )


def is_of_files(given: argparse.Namespace) -> bool:
    """Whether to score files and not the queue."""
    return any((given.input, given.output, given.model))


def needs_database(given: argparse.Namespace) -> bool:
    """Whether a database is needed: not to score files with a model file."""
    return not is_of_files(given) or _number(given) is not None or given.model is None


def _number(given: argparse.Namespace) -> int | None:
    text = given.model or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def score_input(command: Command) -> Result:
    """Score files, and return the counts, which are the command's JSON."""
    # These import pandas and pyarrow, which the queue does not need.
    from pima.files.model_file import content_of, model_file, read_model
    from pima.files.scoring import files_to_score, score_files

    given = command.options
    if given.input is None or given.output is None:
        raise WrongUsage(what="files are scored by --input and --output together; see --help")
    if given.limit or given.batch_size or given.dry_run or given.dask or given.run_id:
        raise WrongUsage(what="--input goes with --output and --model alone; see --help")
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
    files = files_to_score(given.input, given.output)
    missing = [file for file in files if not file.output.exists()]
    scored = list(score_files(missing, model, command.stop))
    rows = sum(each.rows for each in scored)
    by_reason = sum((each.rejected_by_reason for each in scored), Counter[str]())
    return {
        "files": len(missing),
        "files_before": len(files) - len(missing),
        "rows": rows,
        "predicted": rows - by_reason.total(),
        "rejected": by_reason.total(),
        "rejected_by_reason": dict(sorted(by_reason.items())),
        "unknown_taken": sum(each.unknown_taken for each in scored),
        "model_version": model.version,
        "compiled_sha256": model.compiled_sha256,
    }


def show_files(result: Result) -> None:
    """Print the result for people."""
    before = ""
    if result["files_before"]:
        before = f"; {counted(result['files_before'], 'file')} passed over, whose output is there"
    print(
        f"{counted(result['rows'], 'row')} of {counted(result['files'], 'file')}: "
        f"{result['predicted']:,} predicted by model version {result['model_version']}, "
        f"{result['rejected']:,} rejected{before}"
    )
    if result["unknown_taken"]:
        print(
            f"  {counted(result['unknown_taken'], 'unknown value')} taken as the declaration says"
        )
