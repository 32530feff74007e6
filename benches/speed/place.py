"""Where a benchmark runs: a server, a folder, a trained model, and databases with a long history,
made once."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from benches.speed.databases import fill_history, on_server, postgresql_database


@dataclass
class Place:
    """Shared by the cases of one run."""

    uri: str
    folder: Path
    trained: Path
    rows: int = 1_000_000
    """Of a clinic's table."""
    python: str = sys.executable
    _histories: dict[int, str] = field(default_factory=dict)

    @property
    def champion(self) -> str:
        """The trained model as a script's author would have it on disk."""
        return str(self.trained.with_name("champion.keras"))

    @property
    def naive(self) -> list[str]:
        """The command of the naive script."""
        return [self.python, "benches/speed/naive.py", self.champion]

    def history(self, rows: int) -> str:
        """A PostgreSQL database with so many patients, all predicted before."""
        if rows not in self._histories:
            url = postgresql_database(self.uri, f"history_{rows}", self.trained)
            fill_history(url, rows)
            self._histories[rows] = url
        return self._histories[rows]

    def drop(self, name: str) -> None:
        """Give a large database's disk space back."""
        on_server(self.uri, f"DROP DATABASE {name} WITH (FORCE)")
