"""Pictures of equal figures, drawn once for all worker processes of a test run: to draw a report's takes most of what
is left of a retraining where fits are shared."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from markupsafe import Markup

from pima.report.contents import Exhibit

Draw = Callable[..., Markup]
_SOME_TIME = datetime(2026, 1, 1, tzinfo=UTC)
"""Whatever the verdict's is: no picture of its evidence has it."""


def drawn_once(draw: Draw, folder: Path) -> Draw:
    """The same picture, taken from the folder where another test has had it drawn of the very same figures."""

    def picture(*asked: Any) -> Markup:
        figures = [replace(each, decided_at=_SOME_TIME) if isinstance(each, Exhibit) else each for each in asked]
        # PostgreSQL gives the keys of a document back in an order of its own.
        of_figures = msgspec.json.encode([draw.__name__, *figures], order="deterministic")
        path = folder / hashlib.sha256(of_figures).hexdigest()
        if not path.exists():
            being_written = path.with_suffix(f".{os.getpid()}")
            being_written.write_text(draw(*asked))
            being_written.rename(path)
        return Markup(path.read_text())  # noqa: S704 (it was Markup when it was drawn)

    return picture
