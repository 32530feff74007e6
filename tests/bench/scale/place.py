"""Where the measurements of scale are made."""

import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Place:
    """A server, a folder, and a model."""

    uri: str
    """Of a PostgreSQL server that was made for this."""
    folder: Path
    trained: Path
    """A SQLite file with a champion."""
    model: Path
    """The same as a model file."""
    sizes: tuple[int, ...]
    """Rows of the data sets."""
    python: str = sys.executable
