"""A dataset scored by several processes: each takes every N-th part, and the last word is the parent's."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from msgspec import Meta

from pima.cluster.share import Share
from pima.cluster.team import Team
from pima.files.outputs import there
from pima.files.parts import PREDICTIONS
from pima.files.scoring_files import Dataset, FilesScored, begin, finish, score_parts
from pima.process.stopping import StopRequest
from pima.schedule.children import Child


@dataclass(frozen=True, slots=True)
class FileShare(Share):
    """What one of the processes does."""

    number: Annotated[int, Meta(ge=0)]
    """From 0."""
    of: Annotated[int, Meta(ge=1)]
    scored_by: str
    """`ScoringModel.sha256` of the one that all of them must use."""


def score_files_together(
    found: Dataset,
    processes: int,
    launch: Callable[[FileShare], Child],
    grace_seconds: float,
    stop: StopRequest,
) -> FilesScored:
    """As `score_files`, by so many children. Raises WorkersFailed, WorkersHeldUp, Interrupted besides."""
    begin(found)
    missing = len(found.parts) - len(found.finished)
    of = min(processes, missing)
    if of:
        shares = [FileShare(number, of, found.model.sha256) for number in range(of)]
        launches: Sequence[Callable[[], Child]] = [partial(launch, share) for share in shares]
        Team(launches, partial(_written, found), grace_seconds).work(stop)
    return finish(found)


def score_share(found: Dataset, share: FileShare, stop: StopRequest) -> int:
    """A child's part of it; how many parts it wrote. Raises WrongUsage where its model is another one."""
    found.model.require_same(share.scored_by)
    # Of all parts, since children that start one after the other find different ones missing.
    return score_parts(found, found.parts[share.number :: share.of], stop)


def _written(found: Dataset) -> int:
    return sum(name.startswith(f"{PREDICTIONS}/") for name in there(found.target, found.folder))
