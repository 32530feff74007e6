"""The workers of a Dask cluster: checking them, giving them tasks, and asking them to stop.

A worker gets the name of one of pima's functions, with numbers, places and hashes; no row and no
secret goes through Dask. A task may be lost with its worker and be done again, so its effect is
complete or absent.
"""

import hashlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any, TypeVar

import pima
from pima.errors import (
    ClusterAway,
    ClusterUnfit,
    Interrupted,
    PimaError,
    WorkersFailed,
    WrongUsage,
    install_line,
)
from pima.logs import Look, configure_logs, get_logger, resolved_look
from pima.runs.stop_request import StopRequest
from pima.settings.sections import Settings

_SECONDS_A_LOOK = 0.1
_SECONDS_WITHOUT_WORKERS = 60
"""How long to wait for dead workers to be replaced."""
_MOST_GIVEN_UP = 20
"""How many tasks of a call Dask may give up, each after several workers died, before the call is
given up too."""

_Told = TypeVar("_Told")
Work = Callable[[_Told, StopRequest], None]


@contextmanager
def reached(
    address: str, settings: Settings, environ: Mapping[str, str], stop: StopRequest
) -> Iterator["Workers"]:
    """Connect to the workers of the cluster whose scheduler has this address; "local" makes a
    cluster of this machine's cores until the block ends. Raises ClusterAway, or WrongUsage if Dask
    is not installed here."""
    try:
        from distributed import Client
    except ImportError:
        missing = f"--dask needs Dask, which is not installed here; run: {install_line('dask')}"
        raise WrongUsage(what=f"{missing}; or use the Dockerfile's target dask") from None
    logging.getLogger("distributed").setLevel(logging.WARNING)
    with ExitStack() as opened:
        try:
            where = (
                opened.enter_context(_local(settings, environ)) if address == "local" else address
            )
            client = opened.enter_context(Client(where, timeout=10, set_as_default=False))
        except (OSError, RuntimeError):
            raise ClusterAway(what="its scheduler does not start or does not answer") from None
        except ValueError:
            what = "--dask takes local, or the address of a scheduler such as tcp://host:8786"
            raise WrongUsage(what=what) from None
        yield Workers(client, settings, stop)


def _local(settings: Settings, environ: Mapping[str, str]) -> Any:
    import dask
    from distributed import LocalCluster

    # On a busy machine the replacement of a dead worker may take longer than 15 seconds.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
    workers = min(os.cpu_count() or 1, settings.score.most_workers)
    # Without an address, Dask's dashboard would be open to the whole network.
    known = {"env": dict(environ), "memory_limit": None, "dashboard_address": "127.0.0.1:0"}
    # Ctrl-C on the terminal reaches the whole process group; processes started here leave it to the
    # job. Python's resource tracker is started first, since starting it unblocks signals.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return LocalCluster(n_workers=workers, threads_per_worker=1, **known)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True, slots=True)
class Workers:
    """The cluster's workers, reached by Dask's client."""

    client: Any
    settings: Settings
    stop: StopRequest

    def fit(self, lacks: Callable[[_Told], str], told: _Told) -> int:
        """Check every worker by `lacks(told)`, and return how many may take part. Raises
        ClusterAway if there are none, ClusterUnfit if any can't do the work."""
        found = self._asked(
            partial(self.client.run, _lacks, _release(), lacks, told, on_error="return")
        )
        if not found:
            raise ClusterAway(what="it has no workers")
        if unfit := [what for what in found.values() if what]:
            first = unfit[0]
            if isinstance(first, BaseException):
                first = f"pima of this release can't be imported there ({type(first).__name__})"
            raise ClusterUnfit(what=f"{len(unfit)} of {len(found)} workers: {first}")
        get_logger().info("workers found", workers=len(found))
        return min(len(found), self.settings.score.most_workers)

    def run(self, work: Work[_Told], told: _Told, times: int) -> None:
        """Do the work so many times, each on a free worker, until all are done. Raises the error
        that ended one of them, ClusterAway, WorkersFailed or Interrupted, after the others have
        stopped."""
        waiting = [self._begin(work, told) for _ in range(times)]
        given_up = 0
        seen_at = time.monotonic()
        try:
            while waiting:
                time.sleep(_SECONDS_A_LOOK)
                self.stop.check()
                if self._asked(self.client.nthreads):
                    seen_at = time.monotonic()
                if time.monotonic() > seen_at + _SECONDS_WITHOUT_WORKERS:
                    raise ClusterAway(what="it no longer has any workers")
                for task in [task for task in waiting if task.done()]:
                    waiting.remove(task)
                    if task.status == "finished":
                        if error := task.result():
                            raise error
                    elif given_up == _MOST_GIVEN_UP:
                        raise WorkersFailed(what=task.status)
                    else:
                        given_up += 1
                        waiting.append(self._begin(work, told))
        except (Interrupted, PimaError):
            self._let_end(waiting)
            raise

    def _asked(self, ask: Callable[[], Any]) -> Any:
        with suppress(OSError):
            if self.client.status == "running":
                return ask()
        raise ClusterAway(what="its scheduler is gone")

    def _begin(self, work: Work[_Told], told: _Told) -> Any:
        look = resolved_look(self.settings.logs.format)
        return self.client.submit(_called, work, told, self.client.id, look, pure=False)

    def _let_end(self, tasks: Iterable[Any]) -> None:
        until = time.monotonic() + self.settings.schedule.grace_seconds
        while not all(task.done() for task in tasks) and time.monotonic() < until:
            with suppress(OSError):  # the scheduler may be gone
                # Repeatedly, since a lost worker may come back without having been asked.
                self.client.run(_ask_to_stop, self.client.id, on_error="ignore")
                get_logger().info("workers asked to stop")
            time.sleep(_SECONDS_A_LOOK)


# The rest runs on a worker.


@cache
def _release() -> str:
    """A hash over all of pima's Python files: workers with other code would score by other
    rules."""
    found = hashlib.sha256()
    root = Path(pima.__file__).parent
    for path in sorted(root.rglob("*.py")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def _lacks(release: str, lacks: Callable[[_Told], str], told: _Told) -> str:
    """The reason why this worker can't do the work, in words; empty if it can."""
    if _release() != release:
        return "another release of pima is installed there"
    if find_spec("ai_edge_litert") is None:
        return "ai_edge_litert, which models are called by, is not installed there"
    return lacks(told)


_stops: dict[str, StopRequest] = {}
"""The stop request that all of this worker's tasks for a Dask client share, by the client's id."""


def _called(
    work: Work[_Told], told: _Told, client: str, look: Look
) -> PimaError | Interrupted | None:
    """Do the work; return the error that ended it as a value, of which Dask logs no traceback."""
    configure_logs(look)
    try:
        work(told, _stops.setdefault(client, StopRequest()))
    except (PimaError, Interrupted) as ending:
        return ending
    return None


def _ask_to_stop(client: str) -> None:
    """Stop this worker's tasks for a client at their next check, including later ones."""
    _stops.setdefault(client, StopRequest()).ask()
