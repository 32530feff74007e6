"""A night that several processes share, on one machine or on many: all of them do the loop of `pima.scoring`, each with
rows of its own, and one run on record has the sum.

What entitles a worker to go on is that the run is open. Each batch adds its counts to the run's in the transaction that
scores it, under the lock of the run's row; where the run is over the batch is rolled back, and its rows wait again.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Annotated

from msgspec import Meta
from sqlalchemy import Connection, Engine

from pima.cluster.share import Share
from pima.core.ids import LARGEST_ID
from pima.core.unpredicted import Rule
from pima.errors import RunOver
from pima.process.recorded_run import OpenRun
from pima.process.results import as_json
from pima.process.stopping import StopRequest
from pima.scorer import load_scorer
from pima.scoring import ScoreOptions, ScoreResult, champion_if_needed, drain
from pima.store import registry
from pima.store.engine import reading, writing
from pima.store.runs import counts_of, lock_open_run, record_progress
from pima.watching.night import Watch
from pima.watching.unpredicted import Begun, NightEnd, begun
from pima.watching.volume import leave_volumes

_Number = Annotated[int, Meta(ge=1, le=LARGEST_ID)]
_NumberOrNone = Annotated[int, Meta(ge=0, le=2**63 - 1)]


@dataclass(frozen=True, slots=True)
class NightShare(Share):
    """All that a worker is told."""

    run_id: _Number
    model_version: _Number
    compiled_sha256: str
    highest_id: _NumberOrNone
    known_version: _NumberOrNone


@contextmanager
def shared(engine: Engine, run: OpenRun, rule: Rule) -> Iterator[NightShare | None]:
    """Around the work of all: the champion is fixed for the whole run, and what they counted becomes its figures, by
    which the night is judged; None where nothing waits.

    Raises VersionCounterBehind, NoChampion, ArtifactDamaged before any row is touched.
    """
    run.report(ScoreResult())
    champion = champion_if_needed(engine)
    if champion is None:
        run.leave_at_the_end(NightEnd(run.id, rule, partial(leave_volumes, run.id)))
        yield None
        return
    watch = Watch(engine, champion, load_scorer(engine, champion))
    with writing(engine) as connection:
        artifact = registry.compiled_artifact(connection, champion)
        record_progress(connection, run.id, as_json(ScoreResult(model_version=champion)), champion)
    run.share()
    known = begun(engine, run.id)
    run.leave_at_the_end(NightEnd(run.id, rule, partial(watch.leave_figures_of_parts, run.id), known))
    sha256 = "" if artifact is None else artifact.sha256
    yield NightShare(run.id, champion, sha256, known.highest_id, known.known_version)


def work_on(engine: Engine, share: NightShare, options: ScoreOptions, stop: StopRequest) -> None:
    """A worker's part: from the queue until nothing is left to claim.

    Raises RunOver where somebody has closed the run, ArtifactDamaged, Interrupted; what it did until then is counted.
    """
    scorer = load_scorer(engine, share.model_version, share.compiled_sha256)
    known, count = Begun(share.highest_id, share.known_version), partial(_add, share)
    drain(engine, OpenRun(share.run_id), share.model_version, scorer, known, options, stop, count)


def _add(share: NightShare, connection: Connection, batch: ScoreResult) -> None:
    counts = lock_open_run(connection, share.run_id)
    if counts is None:
        raise RunOver(run_id=share.run_id)
    record_progress(connection, share.run_id, as_json(ScoreResult(**counts).plus(batch)), share.model_version)


def so_far(engine: Engine, share: NightShare, count: str) -> int:
    """One of the counts of the whole run, by its name."""
    with reading(engine) as connection:
        return int(counts_of(connection, share.run_id).get(count, 0))
