"""Timing peers side by side: interleaved rounds, medians, ratios of medians; each a process of its own."""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.conftest import ROOT, clean_environ

ROUNDS = 5


@dataclass(frozen=True)
class Ran:
    """A child process that has ended."""

    seconds: float
    """Of the whole process; of a peer that tells it, of its work alone."""
    peak_mb: float
    """The largest resident set."""


@dataclass(frozen=True)
class Line:
    """A row of the table: a ratio or a figure, and the target where there is one."""

    what: str
    measured: float
    sense: str = ""
    target: float | None = None
    stretch: float | None = None

    def as_row(self) -> str:
        """As Markdown."""
        if self.target is None:
            return f"| {self.what} | {self.measured:.3g} | | |"
        wanted = f"{self.sense} {self.target:g}" + (f" (stretch {self.stretch:g})" if self.stretch is not None else "")
        return f"| {self.what} | {self.measured:.3g} | {wanted} | {self._verdict()} |"

    def _verdict(self) -> str:
        assert self.target is not None
        if not self._holds(self.target):
            return "**no**"
        return "stretch" if self.stretch is not None and self._holds(self.stretch) else "yes"

    def _holds(self, target: float) -> bool:
        return self.measured >= target if self.sense == ">=" else self.measured <= target


@dataclass
class Series:
    """What one peer took in each round."""

    seconds: list[float] = field(default_factory=list)
    peak_mb: list[float] = field(default_factory=list)

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def add(self, ran: Ran) -> None:
        self.seconds.append(ran.seconds)
        self.peak_mb.append(ran.peak_mb)


def ratio(took: dict[str, Series], peer: str, ours: str) -> float:
    """Median over median."""
    return took[peer].median / took[ours].median


def run_process(command: Sequence[str], url: str, **environ: str) -> Ran:
    """Run to the end; time and memory as the operating system accounts for them."""
    variables = clean_environ() | {"DATABASE_URL": url} | environ
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    stdout = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode}: {stdout[-2000:]!r}")
    return Ran(seconds, usage.ru_maxrss / 1024)


def run_job(job: str, url: str, *arguments: str, **environ: str) -> Ran:
    """`python -m jobs.JOB`, the whole process."""
    return run_process([sys.executable, "-m", f"jobs.{job}", *arguments], url, **environ)


def run_peer(name: str, url: str, **environ: str) -> Ran:
    """A peer of `tests.bench.speed.peers` in a process of its own; imports and connecting are not counted."""
    variables = clean_environ() | {"DATABASE_URL": url} | environ
    command = [sys.executable, "-m", "tests.bench.speed.peers", name]
    ended = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise RuntimeError(f"the peer {name} ended with {ended.returncode}: {ended.stderr[-2000:]}")
    return Ran(**json.loads(ended.stdout.splitlines()[-1]))


def side_by_side(
    peers: dict[str, Callable[[], Ran]], before: Callable[[], None] = lambda: None, rounds: int = ROUNDS
) -> dict[str, Series]:
    """Every peer once a round, `before` ahead of each and not counted."""
    series = {name: Series() for name in peers}
    for _ in range(rounds):
        for name, run in peers.items():
            before()
            series[name].add(run())
    for name, measured in series.items():
        print(
            f"  {name}: {measured.median:.3f} s ({min(measured.seconds):.3f} to {max(measured.seconds):.3f})",
            flush=True,
        )
    return series
