"""A recorded run: its row in `runs`, its result as JSON, the ping that reports its end."""

import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from sqlalchemy import Connection, Engine

from pima.errors import (
    Interrupted,
    PimaError,
    RunNotOpen,
)
from pima.logs import get_logger, mark_lines
from pima.settings.sections import PingSettings
from pima.store.engine import reading, writing
from pima.store.service import runs
from pima.store.service.runs import (
    DRY_RUN,
    Status,
    adopt_run,
    counts_of,
    finish_run,
    start_run,
    status_of_exit_code,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

INLINED = {"inlined": True}
HIDDEN = {"hidden": True}
"""Metadata of a field that holds a record: the record's fields replace it in the JSON; None adds no
field."""

_DONE_SO_FAR = (Status.SUCCEEDED, Status.INTERRUPTED)
"""Endings of runs whose work so far counts."""
SECONDS_TO_ANSWER_A_PING = 10
_NOT_PINGED = (Status.INTERRUPTED, Status.SKIPPED, Status.MISSED)
"""Endings that are neither a success nor a failure: the run was asked to stop, or there was no
run."""


def as_json(record: "DataclassInstance") -> dict[str, Any]:
    """Turn a workflow's result into JSON: the record's fields by name, in their order.

    A command's `--json`, the column `runs.counts` and the log line at a run's end hold this same
    JSON, so renaming a record's field breaks programs that read it.
    """
    found: dict[str, Any] = {}
    for each in fields(record):
        value = _as_json(getattr(record, each.name))
        if each.metadata == INLINED:
            found |= value or {}
        elif each.metadata != HIDDEN:
            found[each.name] = value
    return found


def _as_json(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return as_json(value)
    if isinstance(value, Struct):
        return {name: _as_json(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, dict):
        return {name: _as_json(each) for name, each in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, tuple) else value


@contextmanager
def never_failing() -> Iterator[None]:
    """Read or write monitoring without failing the run: an error is logged. Stop signals pass
    through."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (a stored document that was edited may raise anything)
        error_code = (
            error.code if isinstance(error, PimaError) else f"unexpected_{type(error).__name__}"
        )
        get_logger().warning("this run's monitoring is incomplete", error_code=error_code)


@dataclass(slots=True)
class OpenRun:
    """The run that this process is doing."""

    id: int
    error_line: str | None = None
    """The message of the error that ended it."""
    _result: "DataclassInstance | None" = None
    _is_shared: bool = False
    _recorded: dict[str, Any] | None = None
    _leave: Callable[[Connection], Mapping[str, Any]] | None = None

    def report(self, result: "DataclassInstance") -> None:
        """Record the work's result so far, in place of the last report; a run that fails keeps
        it."""
        self._result = result

    @property
    def counts(self) -> dict[str, Any]:
        """The last report, as `runs` and the command's JSON have it."""
        return self._reported if self._recorded is None else self._recorded

    @property
    def _reported(self) -> dict[str, Any]:
        return {} if self._result is None else as_json(self._result)

    def leave_counts_to_others(self) -> None:
        """Let other processes write the counts in `runs` from now on; they are read there once the
        run is closed."""
        self._is_shared = True

    def leave_at_the_end(self, leave: Callable[[Connection], Mapping[str, Any]]) -> None:
        """Set the function that writes monitoring when the run closes without failing; its result
        joins the counts."""
        self._leave = leave

    def finish(self, engine: Engine, status: Status, error_code: str | None) -> None:
        """Close the row and write the run's monitoring in one transaction; close it alone if that
        fails."""
        if self._leave is not None and status in _DONE_SO_FAR:
            with never_failing():
                with writing(engine) as connection:
                    # Closed first, so that its monitoring can count it with the other runs of the
                    # night.
                    self._finish(connection, status, error_code)
                    if left := self._leave(connection):
                        self._finish(connection, status, error_code, left)
                return
        with writing(engine) as connection:
            self._finish(connection, status, error_code)

    def _finish(
        self,
        connection: Connection,
        status: Status,
        error_code: str | None,
        left: Mapping[str, Any] | None = None,
    ) -> None:
        """Write how the run ended and what it counted. Only the night's figures are added later."""
        counts = None if self._is_shared else self._reported
        if left:
            counts = {**counts_of(connection, self.id), **left}
        finish_run(connection, self.id, status, counts, error_code, self.error_line)
        if self._is_shared or left:
            self._recorded = counts_of(connection, self.id)


@contextmanager
def recorded_run(engine: Engine, job: str, opened: int | None, dry_run: bool) -> Iterator[OpenRun]:
    """Open a run, or take over the one that a scheduler opened; close it as succeeded, or with the
    error that ended it.

    Raises RunNotOpen if there is no such run to take over.
    """
    run, trigger = _open(engine, job, opened, DRY_RUN if dry_run else "manual")
    mark_lines(job=job, run_id=run.id)
    try:
        get_logger().info("run started", trigger=trigger)
        yield run
    except Interrupted as ending:
        run.error_line = ending.told
        _close(engine, run, status_of_exit_code(ending.exit_code), ending.code)
        raise
    except PimaError as error:
        run.error_line = f"error: {error}"
        _close(engine, run, status_of_exit_code(error.exit_code), error.code)
        raise
    except BaseException as error:
        _close(engine, run, Status.FAILED, f"unexpected_{type(error).__name__}")
        raise
    run.finish(engine, Status.SUCCEEDED, None)
    get_logger().info("run finished", status=Status.SUCCEEDED, **run.counts)


def _open(engine: Engine, job: str, opened: int | None, by_hand: str) -> tuple[OpenRun, str]:
    host = socket.gethostname()
    with writing(engine) as connection:
        if opened is None:
            # Without a tick the row can't collide with another.
            return OpenRun(start_run(connection, job, by_hand, None, host) or 0), by_hand
        trigger = adopt_run(connection, opened, job, host)
    if trigger is None:
        raise RunNotOpen(job=job, run_id=opened)
    return OpenRun(opened), trigger


def _close(engine: Engine, run: OpenRun, status: Status, error_code: str) -> None:
    # If the database is down, the row stays `running`; the error that ended the run is the one to
    # report.
    with suppress(PimaError):
        run.finish(engine, status, error_code)
    get_logger().error("run finished", status=status, error_code=error_code, **run.counts)


def close_crashed(engine: Engine) -> None:
    """Close runs that no scheduler looks after and that give no sign of life, if we may."""
    # A standby takes no writes, and those who only look may not.
    with suppress(PimaError):
        # Mostly there are none, and then a writer of a SQLite file should not have to be waited
        # for.
        with reading(engine) as connection:
            if not runs.any_silent(connection):
                return
        with writing(engine) as connection:
            runs.mark_crashed(connection, of_ticks=False)


def ping(settings: PingSettings, job: str, status: str) -> threading.Thread | None:
    """Fetch the job's URL, if one is set: a service elsewhere raises an alarm when no ping comes
    (dead man's switch).

    By the convention of healthchecks.io and others, a success fetches the URL, a failure the URL
    with /fail. It is fetched once, in the thread that is returned; it never delays or fails a run.
    Its address is a secret and is never logged.
    """
    url = getattr(settings, f"{job}_url").rstrip("/")
    if not url or status in _NOT_PINGED:
        return None
    address = url if status == Status.SUCCEEDED else f"{url}/fail"
    thread = threading.Thread(target=_fetch, args=(job, address), name="ping", daemon=True)
    thread.start()
    return thread


def _fetch(job: str, address: str) -> None:
    # Imported here, so that a job without a URL loads neither HTTP nor TLS.
    import http.client
    import urllib.request

    try:
        # The settings allow only http and https addresses.
        with urllib.request.urlopen(address, timeout=SECONDS_TO_ANSWER_A_PING) as answer:  # noqa: S310
            get_logger().info("pinged", job=job, answer=answer.status)
    except (OSError, ValueError, http.client.HTTPException) as error:
        get_logger().warning("the ping was not answered", job=job, error=type(error).__name__)
