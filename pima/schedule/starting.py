"""Starting what is due: whoever gets the row of a tick's attempt in `runs` starts its child."""

from collections.abc import Callable
from datetime import datetime
from functools import partial

from sqlalchemy import Engine

from pima.logs import get_logger
from pima.schedule.catching_up import is_awaited
from pima.schedule.children import Child
from pima.schedule.due import Due, DueRuns
from pima.schedule.ends import Ends
from pima.schedule.running import RunningChildren
from pima.schedule.ticks import PULL
from pima.store import attempts
from pima.store.engine import reading, writing
from pima.store.runs import Status, start_run


class Starter:
    """Starts the runs that are due; called by the stepping thread alone."""

    def __init__(
        self,
        engine: Engine,
        host: str,
        launch: Callable[[str, int], Child],
        due: DueRuns,
        running: RunningChildren,
        ends: Ends,
        most_retries: int,
    ) -> None:
        """`launch(job, run_id)` is the child."""
        self._most_retries = most_retries
        self._engine, self._host, self._launch = engine, host, launch
        self._due, self._running, self._ends = due, running, ends

    def start_due(self, now: datetime) -> None:
        """Start what may start by now, and let go what can't; the rest stays due."""
        pulling: set[str] = set()
        for due in self._due:
            if due.not_before > now or self._waits_for_another_pull(due):
                continue
            is_let_go = due.job in self._running or due.job in pulling
            if not is_let_go:
                self._pull_first(due, now)
            if self._waits_for_retraining(due):
                continue
            if is_let_go:
                self._skip(due)
            elif self._waits_for_its_pull(due, now):
                pulling.add(due.job)
                continue
            else:
                self._start(due)
            self._due.remove(due)

    def _waits_for_retraining(self, due: Due) -> bool:
        """At start the owed scoring waits for the owed retraining."""
        if due.job != "score" or due.trigger == "schedule":
            return False
        if any(other.job == "retrain" and other.trigger != "schedule" for other in self._due):
            return True
        if "retrain" in self._running:  # it may have ended, with another attempt to follow that is not due yet
            return True
        with reading(self._engine) as connection:  # another scheduler may have it
            return attempts.is_running(connection, "retrain")

    def _waits_for_another_pull(self, due: Due) -> bool:
        return due.job == PULL and self._is_pulling()

    def _is_pulling(self) -> bool:
        """Whoever does: of two pulls of a source at once the second comes to nothing."""
        if PULL in self._running:
            return True
        with reading(self._engine) as connection:
            return attempts.is_running(connection, PULL)

    def _pull_first(self, due: Due, now: datetime) -> None:
        """Start the pull of its tick, where that can begin and nobody has begun it."""
        if due.pull and now < due.waits_until and not self._is_taken(due) and not self._is_pulling():
            pull = Due(PULL, due.tick, due.pull, due.trigger, now)
            if not self._is_taken(pull):
                self._start(pull)

    def _is_taken(self, due: Due) -> bool:
        """Whether `runs` has the attempt, or a later one."""
        return any(made.attempt >= due.attempt for made in self._made(due.job, due.tick))

    def _made(self, job: str, tick: datetime) -> list[attempts.Attempt]:
        with reading(self._engine) as connection:
            return attempts.attempts_of(connection, job, tick)

    def _waits_for_its_pull(self, due: Due, now: datetime) -> bool:
        """Whether something may still come of the pull of its tick."""
        if not due.pull or self._is_taken(due):
            return False
        made = self._made(PULL, due.tick)
        is_to_come = not made or made[-1].attempt < due.pull
        is_to_come |= any((other.job, other.tick) == (PULL, due.tick) for other in self._due)
        # It may have ended since this step began, with another attempt to follow that is not due yet.
        is_to_come |= PULL in self._running
        if not is_to_come and not is_awaited(made, self._most_retries):
            return False
        if now < due.waits_until:
            return True
        get_logger().warning("goes on without the pull: an hour has gone by", job=due.job, tick=due.tick.isoformat())
        return False

    def _skip(self, due: Due) -> None:
        with writing(self._engine) as connection:
            noted = attempts.note_ticks(connection, due.job, [due.tick], Status.SKIPPED, "still_running", self._host)
        if noted or due.attempt > 1:  # a further attempt has its tick's first row already, and is let go with this line
            get_logger().warning("skipped: the run before is still going", job=due.job, tick=due.tick.isoformat())

    def _start(self, due: Due) -> None:
        with writing(self._engine) as connection:
            run_id = start_run(connection, due.job, due.trigger, due.tick, self._host, due.attempt)
        if run_id is None:
            return  # another scheduler has it
        get_logger().info("job started", job=due.job, tick=due.tick.isoformat(), attempt=due.attempt, run_id=run_id)
        launch, wait_for_end = partial(self._launch, due.job, run_id), partial(self._ends.wait_for_end, due, run_id)
        try:
            if not self._running.start(due.job, run_id, launch, wait_for_end):
                self._ends.close(run_id, Status.INTERRUPTED, "stopped_before_it_began")
        except (OSError, RuntimeError) as error:  # no such program, no more processes, threads or files
            get_logger().error("the job could not be started", job=due.job, run_id=run_id, error=type(error).__name__)
            self._ends.not_started(due.job, run_id)
