"""On what the benchmark ran, and who else used the machine meanwhile."""

import importlib.metadata
import os
import platform
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

LIBRARIES = (
    "tensorflow",
    "keras",
    "scikit-learn",
    "catboost",
    "interpret-core",
    "numpy",
    "scipy",
    "matplotlib",
    "sqlalchemy",
    "psycopg",
)

_CPU_TIMES = Path("/proc/stat")


@dataclass(frozen=True, slots=True)
class Provenance:
    """What belongs below every measured table."""

    day: date
    minutes: float
    machine: str
    cores: int
    python: str
    libraries: dict[str, str]
    others_share: float | None
    """Of the cores' time, what went to processes that are not the benchmark's; None where the
    system does not tell."""


class Clock:
    """Started with the benchmark; tells its provenance at the end."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._busy = _busy_seconds()

    def provenance(self, libraries: tuple[str, ...] = LIBRARIES) -> Provenance:
        """Of the time since this was made."""
        seconds = time.monotonic() - self._started
        cores = os.cpu_count() or 1
        own = os.times()
        mine = own.user + own.system + own.children_user + own.children_system
        busy = _busy_seconds()
        others = (
            None
            if busy is None or self._busy is None
            else (busy - self._busy - mine) / (seconds * cores)
        )
        return Provenance(
            day=datetime.now(UTC).date(),
            minutes=seconds / 60,
            machine=f"{_processor()}, {platform.system()}",
            cores=cores,
            python=platform.python_version(),
            libraries={name: importlib.metadata.version(name) for name in libraries},
            others_share=None if others is None else max(0.0, others),
        )


def _busy_seconds() -> float | None:
    """User, nice and system time of all cores since the machine's start."""
    if not _CPU_TIMES.exists():
        return None
    user, nice, system = map(int, _CPU_TIMES.read_text().split(maxsplit=4)[1:4])
    return (user + nice + system) / os.sysconf("SC_CLK_TCK")


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    lines = described.read_text().splitlines() if described.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
