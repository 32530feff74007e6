"""What a network between job and database costs: a proxy that holds back each piece that the job
sends."""

import queue
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial

from sqlalchemy.engine import make_url

from benches.scale.place import Place
from benches.speed.databases import assert_scored, fill_queue, postgresql_database
from benches.speed.measure import Line, ratio, run_job, seconds, side_by_side

ROWS = 1_000_000
_ROUNDS = 3
_DELAYS = (0, 1, 5)
"""Milliseconds of a round trip."""


def network(place: Place) -> Iterator[list[Line]]:
    """The same night through the proxy, without delay and with each."""
    url, rows = postgresql_database(place.uri, "network", place.trained), place.rows(ROWS)
    with _proxies(url) as through:
        peers = {f"{delay} ms": partial(run_job, "score", through[delay]) for delay in _DELAYS}
        peers["large"] = partial(run_job, "score", through[5], "--batch-size", "100000")
        took = side_by_side(
            peers, partial(fill_queue, url, rows), lambda _peer: assert_scored(url, rows), _ROUNDS
        )
    what = f"{rows:,} rows, a round trip"
    large = f"{what} of 5 ms and batches of 100,000 / none"
    yield [
        ratio(f"{what} of 1 ms / none", took, "1 ms", "0 ms", "<=", 1.2),
        ratio(f"{what} of 5 ms / none", took, "5 ms", "0 ms", "<=", 2.0),
        ratio(large, took, "large", "0 ms", "<=", 1.5),
        *(seconds(f"{what} of {delay} ms, seconds", took[f"{delay} ms"]) for delay in _DELAYS),
    ]


@contextmanager
def _proxies(url: str) -> Iterator[dict[int, str]]:
    """By delay the URL of the same database through a proxy."""
    known = make_url(url)
    folder = str(known.query["host"])
    with _listening() as listeners:
        through = {}
        for delay in _DELAYS:
            listener = socket.create_server(("127.0.0.1", 0))
            listeners.append(listener)
            threading.Thread(
                target=_serve, args=(listener, folder, delay / 1000), daemon=True
            ).start()
            port = listener.getsockname()[1]
            changed = known.set(host="127.0.0.1", port=port, query={})
            through[delay] = changed.render_as_string(hide_password=False)
        yield through


@contextmanager
def _listening() -> Iterator[list[socket.socket]]:
    listeners: list[socket.socket] = []
    try:
        yield listeners
    finally:
        for listener in listeners:
            listener.close()


def _serve(listener: socket.socket, folder: str, delay: float) -> None:
    with suppress(OSError):  # once it is closed
        while True:
            job, _ = listener.accept()
            job.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            database = socket.socket(socket.AF_UNIX)
            database.connect(f"{folder}/.s.PGSQL.5432")
            _pass_on(job, database, delay)
            _pass_on(database, job, 0.0)


def _pass_on(source: socket.socket, target: socket.socket, delay: float) -> None:
    """What comes goes on so much later, in its order; the pipe is as wide as it was."""
    waiting: queue.Queue[tuple[float, bytes]] = queue.Queue()
    threading.Thread(target=_read, args=(source, waiting, delay), daemon=True).start()
    threading.Thread(target=_write, args=(target, waiting), daemon=True).start()


def _read(source: socket.socket, waiting: "queue.Queue[tuple[float, bytes]]", delay: float) -> None:
    piece = b"."
    while piece:
        try:
            piece = source.recv(1 << 18)
        except OSError:
            piece = b""
        waiting.put((time.monotonic() + delay, piece))


def _write(target: socket.socket, waiting: "queue.Queue[tuple[float, bytes]]") -> None:
    with suppress(OSError):
        while True:
            due, piece = waiting.get()
            time.sleep(max(0.0, due - time.monotonic()))
            if not piece:
                target.shutdown(socket.SHUT_WR)
                return
            target.sendall(piece)
