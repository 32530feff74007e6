"""The workers of a Dask cluster as a job sees them: found fit, given tasks, and asked to stop.

What goes to a worker is the name of a function of pima's with numbers, places and hashes; no row goes through Dask, nor
any secret. A task may be lost with its worker, and be done again: what it does is whole or not there.
"""

import hashlib
import logging
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from functools import cache, partial
from importlib.util import find_spec
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

import pima
from pima.errors import ClusterAway, ClusterUnfit, Interrupted, PimaError, WorkersFailed, WrongUsage, install_line
from pima.logs import Look, configure_logs, get_logger, resolved_look
from pima.runs.recorded_run import StopRequest
from pima.settings.sections import Settings

_SECONDS_A_LOOK = 0.1
_SECONDS_WITHOUT_WORKERS = 60
"""In which those that died are replaced, or nobody sees to that."""
_MOST_GIVEN_UP = 20
"""Tasks of one call that Dask may give up, each after several workers died of it, before the call is given up too."""

Task = Callable[[Any, StopRequest], Any]


@contextmanager
def reached(address: str, settings: Settings, environ: Mapping[str, str], stop: StopRequest) -> Iterator["Workers"]:
    """The workers of the cluster whose scheduler has this address, until the block ends; "local" makes one of this
    machine's cores until then, in this environment. Raises ClusterAway, WrongUsage where Dask is not installed here."""
    try:
        from distributed import Client
    except ImportError:
        missing = f"--dask needs Dask, which is not installed here; run: {install_line('dask')}"
        raise WrongUsage(what=f"{missing}; or use the Dockerfile's target dask") from None
    logging.getLogger("distributed").setLevel(logging.WARNING)
    with ExitStack() as opened:
        try:
            where = opened.enter_context(_local(settings, environ)) if address == "local" else address
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

    # On a busy machine the process that takes the place of one that died is not there for longer than 15 seconds.
    dask.config.set({"distributed.deploy.lost-worker-timeout": "1 hour"})
    workers = min(os.cpu_count() or 1, settings.score.most_workers)
    # Without an address the pages of Dask's scheduler would be for the whole network.
    known = {"env": dict(environ), "memory_limit": None, "dashboard_address": "127.0.0.1:0"}
    # A Ctrl-C on the terminal reaches all of a group: what starts here leaves it to the job. Python's tracker comes
    # first, since whoever starts that hears signals from then on.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return LocalCluster(n_workers=workers, threads_per_worker=1, **known)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True, slots=True)
class Workers:
    """The workers that there are, by Dask's client."""

    client: Any
    settings: Settings
    stop: StopRequest

    def fit(self, lacks: Callable[[Any], str], told: object) -> int:
        """How many may take part, once `lacks` has found nothing on any, with what it is told. Raises ClusterAway
        if there are none, ClusterUnfit where any can't do it."""
        found = self._asked(partial(self.client.run, _lacks, _release(), lacks, told, on_error="return"))
        if not found:
            raise ClusterAway(what="it has no workers")
        if unfit := [what for what in found.values() if what]:
            first = unfit[0]
            if isinstance(first, BaseException):
                first = f"pima of this release can't be imported there ({type(first).__name__})"
            raise ClusterUnfit(what=f"{len(unfit)} of {len(found)} workers: {first}")
        get_logger().info("workers found", workers=len(found))
        return min(len(found), self.settings.score.most_workers)

    def results(self, function: Task, told: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
        """What each was told with what the function gives for it on a worker that is free, as they come. Raises the
        error that ended one of them, ClusterAway, WorkersFailed or Interrupted, once the others have stopped."""
        waiting = {self._begin(function, each): each for each in told}
        given_up, seen_at = 0, time.monotonic()
        try:
            while waiting:
                time.sleep(_SECONDS_A_LOOK)
                self.stop.check()
                seen_at = time.monotonic() if self._asked(self.client.nthreads) else seen_at
                if time.monotonic() > seen_at + _SECONDS_WITHOUT_WORKERS:
                    raise ClusterAway(what="it has no workers any more")
                for task in [task for task in waiting if task.done()]:
                    each = waiting.pop(task)
                    if task.status == "finished":
                        if isinstance(result := task.result(), PimaError | Interrupted):
                            raise result
                        yield each, result
                    elif given_up == _MOST_GIVEN_UP:
                        raise WorkersFailed(what=task.status)
                    else:
                        given_up += 1
                        waiting[self._begin(function, each)] = each
        except (Interrupted, PimaError):
            self._let_end(waiting)
            raise

    def _asked(self, ask: Callable[[], Any]) -> Any:
        with suppress(OSError):
            if self.client.status == "running":
                return ask()
        raise ClusterAway(what="its scheduler is gone")

    def _begin(self, function: Task, told: object) -> Any:
        look = resolved_look(self.settings.logs.format)
        return self.client.submit(_called, function, told, self.client.id, look, pure=False)

    def _let_end(self, tasks: Iterable[Any]) -> None:
        until = time.monotonic() + self.settings.schedule.grace_seconds
        while not all(task.done() for task in tasks) and time.monotonic() < until:
            with suppress(OSError):  # of a scheduler that is gone
                # Again and again, since a worker that was lost comes back and knows nothing of it.
                self.client.run(_ask_to_stop, self.client.id, on_error="ignore")
                get_logger().info("workers asked to stop")
            time.sleep(_SECONDS_A_LOOK)


# What follows runs on a worker.


@cache
def _release() -> str:
    """A hash over all of pima's Python files: workers that run other code would score by other rules."""
    found, root = hashlib.sha256(), Path(pima.__file__).parent
    for path in sorted(root.rglob("*.py")):
        found.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return found.hexdigest()


def _lacks(release: str, lacks: Callable[[Any], str], told: object) -> str:
    """The reason why this worker can't do the work, in words; empty where it can."""
    if _release() != release:
        return "another release of pima is installed there"
    if find_spec("ai_edge_litert") is None:
        return "ai_edge_litert, which models are called by, is not installed there"
    return lacks(told)


_stops: dict[str, StopRequest] = {}
"""What all that this worker does for a client of Dask's has in common, by that client's id."""


def _called(function: Task, told: object, client: str, look: Look) -> Any:
    """Call the function; what it gives or, as a value, the error that ended it: of a value Dask logs no traceback."""
    configure_logs(look)
    try:
        return function(told, _stops.setdefault(client, StopRequest()))
    except (PimaError, Interrupted) as ending:
        return ending


def _ask_to_stop(client: str) -> None:
    """What it does for this client ends at the next boundary, as does what it begins later."""
    _stops.setdefault(client, StopRequest()).ask()
