"""What a worker says of itself before it is given anything, and how it is asked to stop. No Dask is imported here."""

from dataclasses import dataclass
from importlib.util import find_spec

from pima.cluster.release import release
from pima.process.stopping import StopRequest

RUNTIME = "ai_edge_litert"
"""The module that the compiled form of a model is called by."""


@dataclass(frozen=True, slots=True)
class WorkerState:
    """What a worker has."""

    release: str
    has_runtime: bool
    lacks: str
    """What it needs besides for this work and has not, in words; empty where it lacks nothing."""


def state_here(lacks: str) -> WorkerState:
    """Of the worker that calls it."""
    return WorkerState(release(), find_spec(RUNTIME) is not None, lacks)


_stops: dict[str, StopRequest] = {}


def stop_of(client: str) -> StopRequest:
    """What all that this worker does for a client of Dask's has in common."""
    return _stops.setdefault(client, StopRequest())


def ask_to_stop(client: str) -> None:
    """Called on each worker: what it does for this client ends at the next boundary, as does what it begins later."""
    stop_of(client).ask()
