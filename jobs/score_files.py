"""Scoring from files to files: the options of `jobs.score` that say so, and what it then does."""

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.command import Command, Result
from pima.counted import counted
from pima.errors import WrongUsage
from pima.process.results import as_json

if TYPE_CHECKING:
    from pima.files.scoring_files import FilesScored
    from pima.files.sharing import FileShare
    from pima.schedule.children import Child


def add_file_options(options: argparse.ArgumentParser) -> None:
    """They come together, and with none of the queue's."""
    files = options.add_argument_group("files to files")
    files.add_argument(
        "--from", dest="dataset", metavar="DATASET", help="Parquet: a file, a folder, a pattern or a URL"
    )
    files.add_argument("--to", dest="into", metavar="DATASET", help="a folder or a URL for Parquet and manifest.json")
    files.add_argument("--model", metavar="N|FILE", help="a version, or a model file (default: the champion)")
    files.add_argument(
        "--key",
        action="append",
        default=[],
        dest="keys",
        metavar="COLUMN",
        help="a column to keep beside each prediction; may stand several times (default: id, source, source_key and "
        "person_key)",
    )


def is_of_files(given: argparse.Namespace) -> bool:
    """Whether files are to be scored, and not the queue."""
    return any((given.dataset, given.into, given.model, given.keys))


def needs_database(given: argparse.Namespace) -> bool:
    """A model file needs none."""
    return not is_of_files(given) or _number(given) is not None or given.model is None


def _number(given: argparse.Namespace) -> int | None:
    text = given.model or ""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def score_dataset(command: Command) -> Result:
    """The work, and its result as JSON."""
    # With numpy, pyarrow and the model, which an empty queue does not need.
    from pima.files.scoring_files import open_dataset, score_files
    from pima.files.scoring_model import model_of_database, model_of_file
    from pima.files.sharing import FileShare, score_files_together, score_share

    given = command.options
    _require_sense(given)
    if given.dask is not None:
        return as_json(_score_on_dask(command))
    if needs_database(given):
        model = model_of_database(command.engine, _number(given))
    else:
        model = model_of_file(Path(given.model))
    found = open_dataset(given.dataset, given.into, model, given.keys)
    if given.share is not None:
        return {"written": score_share(found, FileShare.read(given.share), command.stop)}
    if given.processes in (None, 1):
        return as_json(score_files(found, command.stop))
    grace_seconds = command.settings.schedule.grace_seconds
    launch = partial(_launch, command, model.version)
    return as_json(score_files_together(found, given.processes, launch, grace_seconds, command.stop))


def _score_on_dask(command: Command) -> "FilesScored":
    """Workers are given the model file's bytes, and so need no database."""
    from pima.files.dask_files import Asked, score_files_on_dask
    from pima.files.model_file import content_of, model_file
    from pima.files.places import seen_from_everywhere
    from pima.files.scoring_files import open_dataset
    from pima.files.scoring_model import champion_or, model_of_content

    given = command.options
    dataset, into = seen_from_everywhere(given.dataset), seen_from_everywhere(given.into)
    if needs_database(given):
        content = model_file(command.engine, champion_or(command.engine, _number(given)))
    else:
        content = content_of(Path(given.model))
    found = open_dataset(dataset, into, model_of_content(Path(given.model or "the champion"), content), given.keys)
    asked = Asked(dataset, into, tuple(given.keys), content)
    grace_seconds = command.settings.schedule.grace_seconds
    return score_files_on_dask(found, asked, given.dask, grace_seconds, command.stop)


def _require_sense(given: argparse.Namespace) -> None:
    if given.dataset is None or given.into is None:
        raise WrongUsage(what="files are scored by --from DATASET and --to DATASET together; see --help")
    if given.limit or given.batch_size or given.dry_run or given.run_id:
        raise WrongUsage(what="--limit, --batch-size, --dry-run and --run-id are for the queue, not for --from")
    if given.dask and given.processes:
        raise WrongUsage(what="--processes are of this machine, --dask are others: choose one")


def _launch(command: Command, version: int, share: "FileShare") -> "Child":
    """The same command for a part of the files, by the very version, whatever is champion by then."""
    from jobs.score_child import score_child

    given = command.options
    said = {"from": given.dataset, "to": given.into, "share": share, "model": given.model or version}
    options = [f"--{name}={value}" for name, value in said.items()]
    return score_child(command, options + [f"--key={key}" for key in given.keys])


def show_dataset(result: Result) -> None:
    """For people."""
    before = f", {result['parts_before']:,} of them there before" if result["parts_before"] else ""
    print(
        f"{counted(result['rows'], 'row')} of {counted(result['files'], 'file')}: {result['predicted']:,} predicted by "
        f"model version {result['model_version']}, {result['rejected']:,} rejected; "
        f"{counted(result['parts'], 'part')}{before}"
    )
