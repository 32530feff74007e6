"""A dataset scored by workers, a part at a time: they read and write where the job does, and need no database. What
opens a store of objects comes from their own environment."""

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pima.cluster.workers import Workers
from pima.errors import DatasetRefused, PimaError
from pima.files.inputs import input_file
from pima.files.outputs import MARK
from pima.files.part_scoring import PartScoring
from pima.files.parts import Facts, Part
from pima.files.places import place_of, whole
from pima.files.scoring_files import Dataset, FilesScored, score_files
from pima.files.scoring_model import ScoringModel, model_of_content
from pima.process.stopping import StopRequest
from pima.process.whole_file import name_aside


@dataclass(frozen=True, slots=True)
class Told:
    """A part, where it is read and written under names that workers know too, and the content of the model file."""

    dataset: str
    into: str
    part: Part
    content: bytes


def score_files_on_workers(
    found: Dataset, dataset: str, into: str, content: bytes, reached: AbstractContextManager[Workers]
) -> FilesScored:
    """As `score_files`, by the model file's bytes; raises besides what `Workers` raises."""
    if not (told := [Told(dataset, into, part, content) for part in found.missing]):
        return score_files(found, ())
    with reached as workers:
        with _mark(found) as mark:
            workers.fit(lacks, (told[0], mark))
        return score_files(found, ((each.part, facts) for each, facts in workers.results(score_part, told)))


@contextmanager
def _mark(found: Dataset) -> Iterator[str]:
    """Something in the folder by which others know that theirs is the same; its name."""
    name = name_aside(MARK)
    with whole(found.target, f"{found.folder}/{name}") as file:
        file.write(b"pima\n")
    try:
        yield name
    finally:
        found.target.remove(f"{found.folder}/{name}")


# What follows runs on a worker.


def lacks(seen: tuple[Told, str]) -> str:
    """Which of a part's file and the mark in the folder a worker does not see, in words; empty where it sees both."""
    told, mark = seen
    for option, where, name in (("--from", told.dataset, told.part.input.path), ("--to", told.into, mark)):
        try:
            place, folder = place_of(where)
            with place.open(name if option == "--from" else f"{folder}/{name}"):
                pass
        except (OSError, PimaError):
            return f"what {option} names is not there, or can't be read"
    return ""


def score_part(told: Told, stop: StopRequest) -> Facts:
    """Read, score and write one part. Raises what `PartScoring.score` raises."""
    model = _model(told.content, threading.get_ident())
    source, _ = place_of(told.dataset)
    target, folder = place_of(told.into)
    before = told.part.input
    file = input_file(source, before.name, before.path, model.declared, before.columns.keys)
    if file.footer_sha256 != before.footer_sha256:
        raise DatasetRefused(dataset=before.name, what="it has changed since the job looked at it")
    return PartScoring(source, target, folder, model, stop).score(replace(told.part, input=file))


@lru_cache(maxsize=16)
def _model(content: bytes, _thread: int) -> ScoringModel:
    """One thread at a time may call a model, so each has its own."""
    return model_of_content(Path("the job's"), content)
