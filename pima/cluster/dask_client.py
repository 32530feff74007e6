"""A Dask cluster as a job sees it: reached, its workers found fit or not, and asked to stop."""

import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

from pima.cluster.release import release
from pima.cluster.worker_state import RUNTIME, WorkerState, ask_to_stop
from pima.errors import ClusterAway, ClusterUnfit, WrongUsage
from pima.extras import install_line
from pima.logs import get_logger

SECONDS_A_LOOK = 0.1
_SECONDS_TO_CONNECT = 10


def connected(address: str) -> Any:
    """A client, to be closed by its `with`. Raises ClusterAway, WrongUsage where Dask is not installed here."""
    try:
        from distributed import Client
    except ImportError:
        missing = f"--dask needs Dask, which is not installed here; run: {install_line('dask')}"
        raise WrongUsage(what=f"{missing}; or use the Dockerfile's target dask") from None
    try:
        return Client(address, timeout=_SECONDS_TO_CONNECT, set_as_default=False)
    except (OSError, TimeoutError):
        raise ClusterAway(what="its scheduler does not answer") from None
    except ValueError:
        raise WrongUsage(what="--dask takes the address of a scheduler, such as tcp://host:8786") from None


def fit_workers(client: Any, look_around: Callable[..., WorkerState], *told: object) -> list[str]:
    """Their addresses, once each has looked around. Raises ClusterAway where there are none, ClusterUnfit where any
    can't do it."""
    found: Mapping[str, WorkerState | BaseException] = client.run(look_around, *told, on_error="return")
    if not found:
        raise ClusterAway(what="it has no workers")
    states = [_unfit(state) for state in found.values()]
    if unfit := [what for what in states if what]:
        what = f"{len(unfit)} of {len(found)} workers: {unfit[0]}"
        raise ClusterUnfit(what=what)
    get_logger().info("workers found", workers=len(found))
    return sorted(found)


def _unfit(state: WorkerState | BaseException) -> str:
    """What keeps a worker from scoring, in words."""
    if isinstance(state, BaseException):
        return f"pima of this release can't be imported there ({type(state).__name__})"
    if state.release != release():
        return "another release of pima is installed there"
    if not state.has_runtime:
        return f"{RUNTIME}, which models are called by, is not installed there"
    return state.lacks


def require_running(client: Any) -> None:
    """Raises ClusterAway."""
    if client.status != "running":
        raise ClusterAway(what="its scheduler is gone")


def let_end(client: Any, tasks: Iterable[Any], grace_seconds: float) -> None:
    """Have the workers stop what they do for this client, and wait for them so long at most."""
    until = time.monotonic() + grace_seconds
    with suppress(OSError):  # of a scheduler that is gone
        client.run(ask_to_stop, client.id, on_error="ignore")
    while not all(task.done() for task in tasks) and time.monotonic() < until:
        time.sleep(SECONDS_A_LOOK)
