"""Files to files: every row of a dataset scored, without a database where the model is a file.

A part is whole or not there, and says in its own footer what it was made of; so a run that was stopped or killed is
completed by the next one, and nothing has to be remembered anywhere else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pima.errors import OtherOutputThere, PartNotWritten, WrongUsage
from pima.files.inputs import InputFile, found_in, input_files, require_unchanged
from pima.files.outputs import MANIFEST, finished_parts, manifest_of, write_manifest
from pima.files.part_scoring import PartScoring
from pima.files.parts import PREDICTIONS, Facts, Part, parts_of, summed
from pima.files.places import Place, lies_within, on_disks, place_of, words_of
from pima.files.scoring_model import ScoringModel
from pima.logs import get_logger
from pima.process.stopping import StopRequest


@dataclass(frozen=True, slots=True)
class FilesScored:
    """What a dataset came to; the fields are the keys of the command's JSON."""

    rows: int
    predicted: int
    rejected: int
    rejected_by_reason: Mapping[str, int]
    files: int
    parts: int
    parts_before: int
    """Of the parts, those that an earlier run has written."""
    model_version: int
    compiled_sha256: str
    scored_by: str
    """The sha256 of all that decides a prediction."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """What is to be read and written, looked at and found sound."""

    source: Place
    target: Place
    folder: str
    files: Sequence[InputFile]
    parts: Sequence[Part]
    model: ScoringModel
    finished: Mapping[str, Facts] = field(default_factory=dict)
    """By name, those that are there already."""

    @property
    def missing(self) -> list[Part]:
        """The others."""
        return [part for part in self.parts if part.name not in self.finished]


def open_dataset(dataset: str, into: str, model: ScoringModel, keys: Sequence[str]) -> Dataset:
    """Read footers alone. Raises DatasetRefused, OtherOutputThere, WrongUsage."""
    dataset, into = on_disks(dataset), on_disks(into)
    target, folder = place_of(into.rstrip("/"))
    if lies_within(into, dataset):
        raise WrongUsage(what="--to lies within --from, whose files it would add to; name a folder elsewhere")
    source, found = found_in(dataset)
    files = input_files(source, found, model.declared, keys)
    parts = list(parts_of(files))
    if len({part.name for part in parts}) < len(parts):
        raise WrongUsage(what="--from names files whose parts would have the same name; rename one of them")
    return Dataset(source, target, folder, files, parts, model, finished_parts(target, folder, parts, model))


def score_files(found: Dataset, scored: Iterable[tuple[Part, Facts]]) -> FilesScored:
    """Write what is missing and the manifest. `scored` gives the missing parts, in whatever order, each with its facts
    once it has written it. Raises DatasetRefused, OtherOutputThere, PartNotWritten, and what `scored` raises."""
    begin(found)
    for part, facts in scored:
        get_logger().info("part done", part=part.name, rows=part.rows, rejected=part.rows - facts.predicted)
    return finish(found)


def score_missing(found: Dataset, stop: StopRequest) -> Iterator[tuple[Part, Facts]]:
    """One part after the other, by this process. Raises what `PartScoring.score` raises."""
    scoring = PartScoring(found.source, found.target, found.folder, found.model, stop)
    for part in found.missing:
        stop.check()
        yield part, scoring.score(part)


def begin(found: Dataset) -> None:
    """Remove the manifest of an output that is not complete any more. Raises OtherOutputThere where it can't be."""
    if not found.missing:
        return
    try:
        found.target.remove(f"{found.folder}/{MANIFEST}")
    except OSError as error:
        what = f"{MANIFEST} can't be replaced ({words_of(error)})"
        raise OtherOutputThere(folder=found.folder, what=what) from None


def finish(found: Dataset) -> FilesScored:
    """Write the manifest of all parts, as they stand there by now. Raises DatasetRefused where a file is another by
    now, OtherOutputThere where somebody else has written some of them, PartNotWritten where one is gone."""
    for file in found.files:
        require_unchanged(found.source, file)
    finished = finished_parts(found.target, found.folder, found.parts, found.model)
    if lacking := [part.name for part in found.parts if part.name not in finished]:
        raise PartNotWritten(
            path=f"{found.folder}/{PREDICTIONS}/{lacking[0]}", why="somebody has removed it or its rejections"
        )
    write_manifest(found.target, found.folder, manifest_of(found.model, found.files, finished))
    return FilesScored(
        **summed(finished.values()),
        files=len(found.files),
        parts=len(found.parts),
        parts_before=len(found.finished),
        model_version=found.model.version,
        compiled_sha256=found.model.compiled_sha256,
        scored_by=found.model.sha256,
    )
