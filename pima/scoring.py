"""The nightly job: the story of a row, from the queue to its prediction.

Each batch is one transaction: claim, validate, score, write, commit. If the process ends in
between, the claim is rolled back and the rows wait again; that is all of crash recovery.
"""

import os
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field, replace
from functools import partial

from sqlalchemy import Connection, Engine

from pima.core.arrays import Float64Array
from pima.core.declared.features import names_of
from pima.core.declared.identifiers import BELOW_ALL_IDS
from pima.core.nights.drift import Tally
from pima.core.nights.unpredicted import Marks, Rule
from pima.core.rows.validation import Measurements, Validated, validate
from pima.errors import NoChampion
from pima.logs import counted, get_logger
from pima.runs.recorded_run import OpenRun, as_json
from pima.runs.stop_request import StopRequest
from pima.scorer import Scorer, load_scorer
from pima.store.database import database_of
from pima.store.engine import reading, writing
from pima.store.models import registry
from pima.store.models.registry import Champion, newest_declaration
from pima.store.predictions import Batch, Predictions, Rejections, ScoresBeside
from pima.store.rows import queue
from pima.store.rows.queue import require_counter_above_them, require_same_rows
from pima.store.rows.row_history import let_go, not_looked_at_since
from pima.store.service.runs import lock_open_run, record_progress
from pima.watch.figures import leave_volumes
from pima.watch.model_alarms import leave_alarms
from pima.watch.night import NightTally
from pima.watch.suspension import told_of_stop
from pima.watch.unpredicted import NightEnd, rows_before


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """The options of a run of scoring."""

    batch_rows: int
    limit: int | None = None
    """At most this many rows; None drains the queue."""
    dry_run: bool = False
    """Score and count, but roll every batch back."""
    workers: int = 1
    """Batches in parallel, at most one per core. On SQLite, or with a limit, there is only one."""
    rule: Rule = field(default_factory=Rule)
    """The rule that judges the night once it is over."""
    scores: tuple[str, ...] = ()
    """The scores in use that are kept beside the predictions."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a run of scoring begins with; all processes that share it have the same."""

    version: int
    """The champion's number."""
    sequence: int
    """That of the champion's pointer: a later stop ends the run."""
    before: Marks
    """The state of the rows before the first claim."""


@dataclass(frozen=True, slots=True)
class ScoreResult:
    """The counts of the rows so far; the fields are the keys of the run's JSON."""

    claimed: int = 0
    predicted: int = 0
    already_scored: int = 0
    """Rows that this model version had predicted before."""
    rejected: int = 0
    rejected_by_reason: Mapping[str, int] = field(default_factory=dict)
    batches: int = 0
    model_version: int | None = None
    """The champion's number; None if no row waited."""
    new_predicted: int = 0
    """Rows with a prediction that were new or changed. A stale row scored again counts as
    neither."""
    new_ids: int = 0
    """Claimed rows that came since the last night, judged by their ids."""

    def plus(self, batch: "ScoreResult") -> "ScoreResult":
        """Add the result of one more batch."""
        by_reason = Counter(self.rejected_by_reason) + Counter(batch.rejected_by_reason)
        added = {name: getattr(self, name) + getattr(batch, name) for name in _ADDED_UP}
        return replace(self, **added, rejected_by_reason=dict(sorted(by_reason.items())))


_ADDED_UP = (
    "claimed",
    "predicted",
    "already_scored",
    "rejected",
    "batches",
    "new_predicted",
    "new_ids",
)


def score_queue(
    engine: Engine,
    run: OpenRun,
    options: ScoreOptions,
    stop: StopRequest,
    hand_out: Callable[[Start], None] | None = None,
) -> None:
    """Score all rows of the queue, or `limit` of them, with the current champion; report after each
    batch.

    Rows are validated on the champion's features, by the rules in the database when they are
    claimed. The run passes over the queue once, upwards by patient id: rows that others hold, or
    that come in below, wait for the next run. To score in other processes, `hand_out` starts
    `drain` in each of them, and returns when all have ended. If a person has suspended the
    champion, rows wait; a run under way ends before its next batch.

    What a night leaves beside its rows: what settled outcomes say; and, as the run closes, its
    figures and the rows without a prediction. The last two also stand if it is interrupted. If the
    champion was suspended, it leaves that, and no figure that would only tell of rows that wait. It
    lets go replaced values that nothing was predicted on.

    Raises VersionCounterBehind, NoChampion or ArtifactDamaged before any row is touched;
    VersionUsedTwice before its batch is committed; Interrupted between two batches.
    """
    run.report(ScoreResult())
    champion, is_needed = _champion(engine)
    loop = None
    if is_needed:
        loop = _loop(engine, run, champion, options, stop)
    run.leave_at_the_end(partial(_night_end, run.id, options, champion, loop))
    if loop is not None:
        _score(loop, hand_out)
    if not options.dry_run:
        _let_go(engine, stop)
        leave_alarms(engine, run.id)


def _night_end(
    run_id: int,
    options: ScoreOptions,
    champion: Champion,
    loop: "_Drain | None",
    connection: Connection,
) -> dict[str, object]:
    """Leave what the night says; return what joins the run's counts."""
    before = None
    if loop is not None and not options.dry_run:
        loop.night.leave_figures(run_id, connection)
        before = loop.start.before
    told = told_of_stop(connection, champion)
    if told or options.dry_run:
        return told
    leave_volumes(run_id, connection)
    return NightEnd(run_id, options.rule, before)(connection)


def _let_go(engine: Engine, stop: StopRequest) -> None:
    with reading(engine) as connection:
        since = not_looked_at_since(connection)
    while since is not None:
        stop.check()
        with writing(engine) as connection:
            since = let_go(connection, since)


def _loop(
    engine: Engine, run: OpenRun, champion: Champion, options: ScoreOptions, stop: StopRequest
) -> "_Drain":
    """The loop with the champion loaded."""
    version = champion.model_version or 0
    scorer = load_scorer(engine, version)
    run.report(ScoreResult(model_version=version))
    start = Start(version, champion.sequence, rows_before(engine, run.id))
    return _Drain(engine, run, start, scorer, NightTally(engine, version, scorer), options, stop)


def _score(loop: "_Drain", hand_out: Callable[[Start], None] | None) -> None:
    """Drain the queue here, or hand the run out to processes that then write its counts."""
    if hand_out is None:
        loop.run()
        return
    run = loop.open_run
    with writing(loop.engine) as connection:
        record_progress(connection, run.id, run.counts, loop.start.version)
    run.leave_counts_to_others()
    hand_out(loop.start)


def drain(
    engine: Engine, run_id: int, start: Start, options: ScoreOptions, stop: StopRequest
) -> None:
    """Drain the queue in one of several processes that share a run, until no row is left to claim,
    the run has been closed or the champion was suspended.

    Raises ArtifactDamaged, VersionUsedTwice, Interrupted; the batches committed before that are
    counted.
    """
    scorer = load_scorer(engine, start.version)
    night = NightTally(engine, start.version, scorer)
    with night.part_at_the_end(run_id):
        _Drain(engine, OpenRun(run_id), start, scorer, night, options, stop, is_shared=True).run()


def _champion(engine: Engine) -> tuple[Champion, bool]:
    """The champion, and whether it is needed: no model is loaded for an empty queue, or during a
    stop."""
    with reading(engine) as connection:
        require_counter_above_them(connection)
        champion = registry.read_champion(connection)
        if champion.suspended_at is not None or queue.is_empty(connection):
            return champion, False
        if champion.model_version is None:
            rows = counted(queue.waiting(connection).rows, "row")
            raise NoChampion(what=f"{rows} on the queue, which will wait until there is one")
        return champion, True


@dataclass(frozen=True, slots=True)
class _Scored:
    """A claimed batch and what will be written about its rows."""

    batch: Batch
    validated: Validated
    probabilities: Float64Array
    """(accepted,), one for each accepted row."""
    tally: Tally
    scores: Measurements
    """What the scores in use said of the batch."""

    def result(self, new: int, before: Marks) -> ScoreResult:
        """Count what became of the rows; `new` of the predictions had not been made before."""
        accepted = len(self.validated.accepted)
        rejected = len(self.validated.rejected)
        return ScoreResult(
            claimed=len(self.batch),
            predicted=new,
            already_scored=accepted - new,
            rejected=rejected,
            rejected_by_reason=Counter(self.validated.reasons),
            batches=1,
            new_predicted=int(
                (self.batch.patient_versions[self.validated.accepted] > before.known_version).sum()
            ),
            new_ids=int((self.batch.patient_ids > before.highest_id).sum()),
        )


@dataclass
class _Drain:
    """The batches of one run. Workers share them: while one writes its batch, another takes the
    next.

    Only one worker at a time is in each stage. So no two claims walk over the same rows, one thread
    at a time calls the model, predictions arrive in the order of their index, and the run's counts
    are those that were committed.
    """

    engine: Engine
    open_run: OpenRun
    start: Start
    scorer: Scorer
    night: NightTally
    options: ScoreOptions
    stop: StopRequest
    is_shared: bool = False
    _result: ScoreResult = field(init=False)
    _after: int = field(default=BELOW_ALL_IDS, init=False)
    _ended: bool = field(default=False, init=False)
    _take_lock: threading.Lock = field(default_factory=threading.Lock, init=False)
    _write_lock: threading.Lock = field(default_factory=threading.Lock, init=False)

    def __post_init__(self) -> None:
        self._result = ScoreResult(model_version=self.start.version)

    def run(self) -> None:
        self._do_batch()  # most nights have only one batch, and need no threads
        others = 0 if self._ended else _workers(self.engine, self.options) - 1
        if others == 0:
            self._work()
            return
        with ThreadPoolExecutor(others, thread_name_prefix="scorer") as threads:
            helping = [threads.submit(copy_context().run, self._work) for _ in range(others)]
            self._work()
        for worker in helping:
            worker.result()

    def _work(self) -> None:
        try:
            while not self._ended:
                self._do_batch()
        finally:
            self._ended = True  # an error ends the other workers too, before their next batch

    def _do_batch(self) -> None:
        self.stop.check()
        with writing(self.engine) as connection:
            with self._take_lock:
                scored = self._take(connection)
            if scored is not None:
                with self._write_lock:
                    self._write(connection, scored)
            elif self.options.dry_run:
                # an empty claim may have deleted queue entries whose rows are gone
                connection.rollback()

    def _take(self, connection: Connection) -> _Scored | None:
        """Claim, validate and score a batch; None if no row is left, or a person has stopped it."""
        rows = self._rows_to_claim()
        # Read in the transaction of the claim. Another version may have been promoted since the
        # stop.
        if self._ended or rows == 0 or registry.was_stopped_since(connection, self.start.sequence):
            self._ended = True
            return None
        names = names_of(self.scorer.features)
        batch = database_of(connection).scoring.claim(
            connection, names + self.options.scores, self._after, rows
        )
        self._ended = len(batch) < rows
        if len(batch) == 0:
            return None
        self._after = batch.last
        # Read after the claim: a change of rules waits for open claims, and later claims see it.
        rules = newest_declaration(connection).rules_for(self.scorer.features)
        measured, scores = batch.measurements.divided(len(names))
        validated = validate(measured.by_feature, rules)
        probabilities = self.scorer.model.probabilities(validated.features)
        tally = self.night.tally(validated, probabilities)
        return _Scored(batch, validated, probabilities, tally, scores)

    def _rows_to_claim(self) -> int:
        columns = len(self.scorer.features) + len(self.options.scores)
        rows = min(self.options.batch_rows, queue.largest_batch(columns))
        if self.options.limit is None:
            return rows
        return min(rows, self.options.limit - self._result.claimed)

    def _write(self, connection: Connection, scored: _Scored) -> None:
        done = scored.result(self._record(connection, scored), self.start.before)
        so_far = self._so_far(connection)
        if so_far is None:
            connection.rollback()
            self._ended = True
            return
        if self.options.dry_run:
            connection.rollback()
        else:
            counts = as_json(so_far.plus(done))
            record_progress(connection, self.open_run.id, counts, self.start.version)
            connection.commit()
            self.night.add(scored.tally)
        self._result = self._result.plus(done)
        self.open_run.report(self._result)
        get_logger().info(
            "batch done",
            claimed=done.claimed,
            rejected=done.rejected,
            model_version=self.start.version,
        )

    def _so_far(self, connection: Connection) -> ScoreResult | None:
        """The run's counts so far; None if the run has been closed, so that this worker must stop.
        The row of a shared run stays locked until the commit."""
        if not self.is_shared:
            return self._result
        counts = lock_open_run(connection, self.open_run.id)
        return None if counts is None else ScoreResult(**counts)

    def _record(self, connection: Connection, scored: _Scored) -> int:
        """Write predictions and rejections; return how many of the predictions are new."""
        ids = scored.batch.patient_ids
        versions = scored.batch.patient_versions
        found = scored.validated
        made = Predictions(ids[found.accepted], versions[found.accepted], scored.probabilities)
        rejected = Rejections(
            ids[found.rejected], versions[found.rejected], found.reasons, found.fields
        )
        database = database_of(connection)
        run = self.open_run.id
        threshold = self.scorer.threshold
        version = self.start.version
        new = database.scoring.write_predictions(connection, made, version, run, threshold)
        if new < len(found.accepted):
            require_same_rows(connection, made, version, run)
        self._write_scores(connection, scored, made)
        database.scoring.write_rejections(connection, rejected, run)
        return new

    def _write_scores(self, connection: Connection, scored: _Scored, made: Predictions) -> None:
        """Write what the scores in use said of the predicted rows, where they said anything."""
        said = scored.scores.rows(scored.validated.accepted)
        for name, column in zip(self.options.scores, said.by_feature, strict=True):
            known = column.is_known
            ids = made.patient_ids[known]
            beside = ScoresBeside(ids, made.patient_versions[known], name, column.values[known])
            scoring = database_of(connection).scoring
            scoring.write_scores(connection, beside, self.start.version, self.open_run.id)


def _workers(engine: Engine, options: ScoreOptions) -> int:
    """How many workers score: SQLite allows one writer at a time, and a limit needs a single
    counter."""
    one = database_of(engine).is_a_file or options.limit is not None
    return 1 if one else min(options.workers, os.cpu_count() or 1)
