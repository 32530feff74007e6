"""What runs on a worker of a cluster for files: it reads and writes where the job does, and needs no database.

What it is told are places, hashes and the model file's bytes; what it tells are counts and codes. What opens a store of
objects comes from the worker's own environment.
"""

import threading
from dataclasses import dataclass
from pathlib import Path

from pima.cluster.worker_state import WorkerState, state_here, stop_of
from pima.errors import DONE, DatasetRefused, Interrupted, PimaError
from pima.files.inputs import input_file
from pima.files.part_scoring import PartScoring
from pima.files.parts import Facts, Part, parts_of
from pima.files.places import Place, place_of
from pima.files.scoring_model import ScoringModel, model_of_content


@dataclass(frozen=True, slots=True)
class PartTold:
    """A part, and what it must be made of."""

    dataset: str
    into: str
    name: str
    """Of the part."""
    file_name: str
    """Within the dataset."""
    file_path: str
    footer_sha256: str
    keys: tuple[str, ...]
    """As they were asked for; none where all known ones are kept."""
    scored_by: str


@dataclass(frozen=True, slots=True)
class PartDone:
    """What became of it."""

    facts: Facts | None
    """None where it was not written."""
    exit_code: int
    line: str
    """The error's, where there is one."""


def look_around(dataset: str, file_path: str, into: str, mark: str) -> WorkerState:
    """Called on each worker: whether it sees the first of the files, and what the job has just put into the folder."""
    for option, where, name in (("--from", dataset, file_path), ("--to", into, mark)):
        try:
            place, folder = place_of(where)
            with place.open(name if option == "--from" else f"{folder}/{name}"):
                pass
        except (OSError, PimaError):
            return state_here(f"what {option} names is not there, or can't be read")
    return state_here("")


def score_part(told: PartTold, content: bytes, client: str) -> PartDone:
    """Read, score and write one part, by the model file's bytes."""
    try:
        model = _model(content)
        model.require_same(told.scored_by)
        source, _ = place_of(told.dataset)
        target, folder = place_of(told.into)
        scoring = PartScoring(source, target, folder, model, stop_of(client))
        return PartDone(scoring.score(_part(told, source, model)), DONE, "")
    except PimaError as error:
        return PartDone(None, error.exit_code, str(error))
    except Interrupted as ending:
        return PartDone(None, ending.exit_code, "")


def _part(told: PartTold, source: Place, model: ScoringModel) -> Part:
    file = input_file(source, told.file_name, told.file_path, model.declared, told.keys)
    if file.footer_sha256 != told.footer_sha256:
        raise DatasetRefused(dataset=told.file_name, what="it has changed since the job looked at it")
    return next(part for part in parts_of([file]) if part.name == told.name)


_held = threading.local()


def _model(content: bytes) -> ScoringModel:
    """One thread at a time may call a model, so each has its own."""
    if getattr(_held, "content", None) != content:
        _held.model, _held.content = model_of_content(Path("the job's"), content), content
    model: ScoringModel = _held.model
    return model
