"""A million labelled rows in a real database: the real `jobs.retrain` beside histogram gradient
boosting.

Run as a process of its own, `python -m benches.accuracy.million ROWS`, and kept small: the peak
memory that Linux tells of a child is at least what its parent held at its start. Prints one JSON
object.
"""

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import text

from benches.accuracy.shipped import ROOT, shipped_rows
from benches.endings import child_of, end_in_order, end_with_parent, to_its_end
from pima.settings.reading import SHIPPED
from pima.settings.sections import DatabaseSettings, HoldoutSettings
from pima.store.engine import without_time_limit, writing
from pima.store.rows.arrivals import Staging
from pima.store.schema import migrate
from pima.store.urls import make_engine, parse_url
from tests.support.databases import clean_environ, postgresql_server

BLOCK_ROWS = 50_000
JITTER = 0.05
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Child:
    """How one child process ended."""

    what: str
    seconds: float
    """From its start to its end, Python's start and imports included."""
    processor_seconds: float
    peak_megabytes: float
    said: dict[str, Any]
    """The JSON object on its stdout."""


def main(rows: int) -> None:
    """SQLite in three rounds, then PostgreSQL in one: the same work, another database."""
    end_in_order()
    end_with_parent()
    with ExitStack() as opened:
        with to_its_end():
            folder = opened.enter_context(tempfile.TemporaryDirectory(prefix="pima-bench-"))
            server = opened.enter_context(postgresql_server())
        print(
            json.dumps(
                {
                    "sqlite": _on_sqlite(Path(folder), rows),
                    "postgresql": _on_postgresql(server, rows),
                }
            )
        )


def _on_sqlite(folder: Path, rows: int) -> list[dict[str, Any]]:
    made = folder / "made.db"
    _tell(f"{rows} rows into SQLite")
    fill(f"sqlite:///{made}", rows)
    ended = []
    for n in range(ROUNDS):
        copy = Path(
            shutil.copy(made, folder / "copy.db")
        )  # a verdict is given once for the same data
        ended += _one_round(f"sqlite:///{copy}", n)
    return ended


def _on_postgresql(url: str, rows: int) -> list[dict[str, Any]]:
    _tell(f"{rows} rows into PostgreSQL")
    fill(url, rows)
    return _one_round(url, 0)


def fill(url: str, rows: int) -> None:
    """A database with labelled patients 1 to `rows`, by the statements that `jobs.load` uses."""
    engine = make_engine(url, DatabaseSettings())
    migrate(engine, HoldoutSettings(salt="a salt for the benchmark"))
    with writing(engine) as connection:
        without_time_limit(connection)
        staging = Staging(connection, (*SHIPPED.names, "outcome"), "id")
        staging.make()
        for block in made_up_patients(rows):
            staging.append(block, "line")
        staging.take()
        staging.drop()
    if engine.dialect.name == "postgresql":
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.execute(text("VACUUM ANALYZE patients"))
    engine.dispose()


def made_up_patients(rows: int) -> Iterator[pd.DataFrame]:
    """Blocks of id, eight measurements and outcome: shipped rows drawn with replacement and shaken
    a little, so that no two are twins; what is missing stays missing.
    """
    shipped = shipped_rows()
    draw = np.random.default_rng(0)
    deviation = np.nanstd(shipped.features, axis=0)
    low, high = ([getattr(feature, end) for feature in SHIPPED.features] for end in ("low", "high"))
    for first in range(1, rows + 1, BLOCK_ROWS):
        drawn = shipped.take(draw.integers(0, len(shipped), min(BLOCK_ROWS, rows + 1 - first)))
        shaken = np.clip(drawn.raw + draw.normal(0, JITTER, drawn.raw.shape) * deviation, low, high)
        values = np.where((drawn.raw == 0) & np.isnan(drawn.features), 0.0, shaken)
        block = pd.DataFrame(
            values, columns=list(SHIPPED.names), index=range(first, first + len(values))
        )
        yield block.assign(id=block.index, outcome=drawn.outcomes.astype(np.int64))


def _one_round(url: str, n: int) -> list[dict[str, Any]]:
    """What is compared takes turns. Boosting's threads wait for each other: with OpenMP's usual
    spinning it takes many times as long wherever others use the machine, and even so one thread can
    be faster.
    """
    no_spinning, one_thread = {"OMP_WAIT_POLICY": "PASSIVE"}, {"OMP_NUM_THREADS": "1"}
    boosting = ("-m", "benches.accuracy.large_fit", "boosting")
    turns: list[Callable[[], Child]] = [
        lambda: _run("boosting", url, *boosting, **no_spinning),
        lambda: _run("boosting, one thread", url, *boosting, **one_thread),
        lambda: _run("our fit", url, "-m", "benches.accuracy.large_fit", "ours"),
        lambda: _run("retrain", url, "-m", "jobs.retrain", "--json"),
    ]
    ended = []
    for turn in turns:
        child = turn()
        _tell(
            f"{parse_url(url).get_backend_name()}, round {n + 1}: {child.what} "
            f"{child.seconds:.1f} s"
        )
        ended.append(asdict(child))
    return ended


def _run(what: str, url: str, *arguments: str, **environ: str) -> Child:
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        start = time.perf_counter()
        environment = clean_environ() | {"DATABASE_URL": url} | environ
        files = {"stdout": stdout, "stderr": stderr}
        with child_of([sys.executable, *arguments], cwd=ROOT, env=environment, **files) as child:
            _, status, usage = os.wait4(child.pid, 0)
            child.returncode = os.waitstatus_to_exitcode(status)
        seconds = time.perf_counter() - start
        if child.returncode:
            stderr.seek(0)
            raise RuntimeError(
                f"{what} ended with {child.returncode}: {stderr.read().decode()[-2000:]}"
            )
        stdout.seek(0)
        said = json.loads(stdout.read())
    return Child(what, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, said)


def _tell(what: str) -> None:
    print(what, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
