"""Somebody who is told of things: a web server that takes pings, and takes or refuses what apprise
sends, or hangs."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.databases import PATIENCE_SECONDS


@dataclass
class AlertReceiver:
    """What it got, and how it answers the next ones."""

    port: int
    got: list[dict[str, Any]] = field(default_factory=list)
    pinged: list[str] = field(default_factory=list)
    """The paths that were asked for."""
    status: int = 200
    hangs_after: int | None = None
    """So many messages are answered, further ones never."""
    asked: threading.Event = field(default_factory=threading.Event)
    let_go: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"json://127.0.0.1:{self.port}"

    @property
    def titles(self) -> list[str]:
        """Without the machine's name."""
        return [message["title"].partition(": ")[2] for message in self.got]

    def take(self, message: dict[str, Any]) -> int:
        self.asked.set()
        if self.hangs_after is not None and len(self.got) >= self.hangs_after:
            self.let_go.wait(PATIENCE_SECONDS)
            return 200
        if self.status == 200:
            self.got.append(message)
        return self.status


@contextmanager
def alert_receiver() -> Iterator[AlertReceiver]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(receiver.take(message))
            self.end_headers()

        def do_GET(self) -> None:
            receiver.pinged.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver = AlertReceiver(server.server_port)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield receiver
    receiver.let_go.set()
    server.shutdown()
    server.server_close()
    thread.join()
