"""Timing peers side by side: interleaved rounds, medians, ratios of medians; each a process of its
own."""

import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tests.support.databases import clean_environ
from tests.support.shipped import ROOT

ROUNDS = 5


@dataclass(frozen=True)
class Ran:
    """A child process that has ended."""

    seconds: float
    """Of the whole process; of a peer that tells it, of its work alone."""
    peak_mb: float = 0.0
    """The largest resident set, where the process tells it."""
    model_share: float = 0.0
    """Of the seconds; told by `ours` alone."""
    processor_seconds: float = 0.0
    """Of it and of its own children, where the whole process is timed."""


@dataclass(frozen=True)
class Line:
    """A row of the table: a ratio or a figure, and the target where there is one."""

    what: str
    measured: float
    sense: str = ""
    target: float | None = None
    stretch: float | None = None
    least: float | None = None
    most: float | None = None
    """Over the rounds, each taken by itself."""

    def as_row(self) -> str:
        """As Markdown."""
        spread = "" if self.least is None else f"{self.least:.3g} to {self.most:.3g}"
        known = f"| {self.what} | {self.measured:.4g} | {spread} |"
        if self.target is None:
            return f"{known} | |"
        wanted = f"{self.sense} {self.target:g}" + (
            f" (stretch {self.stretch:g})" if self.stretch is not None else ""
        )
        return f"{known} {wanted} | {self._verdict()} |"

    @property
    def is_met(self) -> bool:
        """Whether the target holds; without one it does."""
        return self.target is None or self._holds(self.target)

    def _verdict(self) -> str:
        if not self.is_met:
            return "**no**"
        return "stretch" if self.stretch is not None and self._holds(self.stretch) else "yes"

    def _holds(self, target: float) -> bool:
        return self.measured >= target if self.sense == ">=" else self.measured <= target


def between(page: str, mark: str, text: str) -> str:
    """The page with this text between two comments; the first may name a part behind a colon."""
    before, begin, rest = page.partition(f"<!-- {mark} -->\n")
    assert begin, f"the page has no place for {mark}"
    end = f"<!-- /{mark.partition(':')[0]} -->\n"
    return f"{before}{begin}{text}\n{end}{rest.partition(end)[2]}"


@dataclass
class Series:
    """What one peer took in each round."""

    rounds: list[Ran] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        return [ran.seconds for ran in self.rounds]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    @property
    def peak_mb(self) -> float:
        return max(ran.peak_mb for ran in self.rounds)


Took = dict[str, Series]


def ratio(
    what: str,
    took: Took,
    over: str,
    under: str,
    sense: str,
    target: float,
    stretch: float | None = None,
) -> Line:
    """Median over median."""
    by_round = [
        one / other for one, other in zip(took[over].seconds, took[under].seconds, strict=True)
    ]
    measured = took[over].median / took[under].median
    return Line(what, measured, sense, target, stretch, min(by_round), max(by_round))


def processor_ratio(what: str, took: Took, over: str, under: str) -> Line:
    """The same of processor seconds, which say more where others use the machine too."""
    ones, others = ([ran.processor_seconds for ran in took[name].rounds] for name in (over, under))
    by_round = [one / other for one, other in zip(ones, others, strict=True)]
    measured = statistics.median(ones) / statistics.median(others)
    return Line(what, measured, least=min(by_round), most=max(by_round))


def seconds(what: str, series: Series) -> Line:
    """The median, for the scale."""
    return Line(what, series.median, least=min(series.seconds), most=max(series.seconds))


def run_process(command: Sequence[str], url: str) -> Ran:
    """Run to the end; the whole process is timed."""
    began, before = time.perf_counter(), _of_children()
    _run(command, url)
    return Ran(time.perf_counter() - began, processor_seconds=_of_children() - before)


def _of_children() -> float:
    """Processor seconds of all that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_job(job: str, url: str, *arguments: str) -> Ran:
    """`python -m jobs.JOB`, the whole process."""
    return run_process([sys.executable, "-m", f"jobs.{job}", *arguments], url)


def run_peer(name: str, url: str, *arguments: str) -> Ran:
    """A peer of `benches.speed.peers` in a process of its own; imports and connecting are not
    counted."""
    return run_timed([sys.executable, "-m", "benches.speed.peers", name, *arguments], url)


def run_timed(command: Sequence[str], url: str) -> Ran:
    """A script that tells, in its last line, how long its work took."""
    return Ran(**json.loads(_run(command, url).splitlines()[-1]))


def _run(command: Sequence[str], url: str) -> str:
    variables = clean_environ() | {"DATABASE_URL": url}
    # An installation keeps compiled modules. Where this is set, ours alone would be compiled at
    # each start.
    variables.pop("PYTHONDONTWRITEBYTECODE", None)
    ended = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    if ended.returncode:
        raise RuntimeError(
            f"{' '.join(command)} ended with {ended.returncode}: {ended.stderr[-2000:]}"
        )
    return ended.stdout


def side_by_side(
    peers: dict[str, Callable[[], Ran]],
    before: Callable[[], None] = lambda: None,
    check: Callable[[str], None] = lambda _peer: None,
    rounds: int = ROUNDS,
) -> Took:
    """Every peer once a round; `before` ahead of each and `check(peer)` behind it are not
    counted."""
    series = {name: Series() for name in peers}
    for _ in range(rounds):
        for name, run in peers.items():
            before()
            series[name].rounds.append(run())
            check(name)
    for name, measured in series.items():
        print(
            f"  {name}: {measured.median:.3f} s ({min(measured.seconds):.3f} to "
            f"{max(measured.seconds):.3f})",
            flush=True,
        )
    return series
