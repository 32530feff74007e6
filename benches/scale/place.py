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

    def rows(self, usual: int) -> int:
        """So many, or those of a trial, which has one size."""
        return usual if len(self.sizes) > 1 else self.sizes[0]
