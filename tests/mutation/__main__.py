"""`make mutation`: how many small changes of the core the tests notice.

A seed draws mutants from all that mutmut makes of these modules. Unit tests that run the changed
line judge first, then those of the jobs, on SQLite. What is judged is kept, so that a stopped run
goes on; another seed, count or commit needs another folder. What takes too long may be held up by
other work on the machine, so it does not count as noticed.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest

from pima.core.statistics.estimates import proportion
from tests.mutation.drawing import at, drawn
from tests.mutation.judging import Judge, Verdict
from tests.mutation.mutant import Mutant
from tests.support.shipped import ROOT

SOURCES = ("pima/core", "pima/scoring.py")
# SQLite alone: this is about the core. Hypothesis takes the same examples each time.
PYTEST = (
    *("-q", "-p", "no:cacheprovider", "--hypothesis-seed=1"),
    *("-k", "not postgresql", "-m", "not campaign and not at_length"),
)


class Judged:
    """What is known of mutants, kept in a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._verdicts: dict[str, list[str]] = {}
        if file.exists():
            self._verdicts = json.loads(file.read_text())

    def verdict(self, mutant: Mutant) -> str:
        """The last one."""
        return self._verdicts.get(_name(mutant), [Verdict.NOT_RUN, "", ""])[0]

    def open_in(self, mutants: Sequence[Mutant], folder: str) -> list[Mutant]:
        """Those that no test has noticed, and that this folder's tests have not judged."""
        known = [self._verdicts.get(_name(mutant), ["", "", ""]) for mutant in mutants]
        return [
            mutant
            for mutant, (verdict, _, judges) in zip(mutants, known, strict=True)
            if verdict != Verdict.KILLED and folder not in judges.split()
        ]

    def keep(self, mutant: Mutant, verdict: Verdict, noticed: str, folder: str) -> None:
        """A survivor stays one if the next folder has no test that runs it."""
        if verdict == Verdict.NOT_RUN:
            verdict = Verdict(self.verdict(mutant))
        judges = self._verdicts.get(_name(mutant), ["", "", ""])[2]
        self._verdicts[_name(mutant)] = [verdict, noticed, f"{judges} {folder}"]
        whole = self._file.with_suffix(".new")
        whole.write_text(json.dumps(self._verdicts, indent=1))
        whole.replace(self._file)


def _name(mutant: Mutant) -> str:
    return f"{mutant.file}:{mutant.line} #{mutant.number}"


def main(arguments: list[str]) -> None:
    """Judge the mutants, and print what became of them."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument(
        "--by", help="tests that judge, with commas between; without: prints what is known"
    )
    parser.add_argument(
        "--at",
        nargs="+",
        default=[],
        metavar="FILE:LINE",
        help="all mutants of these lines, in place of those drawn",
    )
    parser.add_argument("--folder", type=Path, default=ROOT / "build" / "mutation")
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    judged = Judged(given.folder / "judged.json")
    mutants = [mutant for place in given.at for mutant in at(ROOT, place)]
    if not mutants:
        mutants = _drawn(given.seed, given.count)
    if given.by:
        is_open = judged.open_in(mutants, given.by)
        keep = partial(judged.keep, folder=given.by)
        pytest.main([*PYTEST, *given.by.split(",")], plugins=[Judge(is_open, given.folder, keep)])
    _print(mutants, judged)


def _drawn(seed: int, count: int) -> list[Mutant]:
    files = sorted(
        str(path.relative_to(ROOT))
        for source in SOURCES
        for path in [ROOT / source, *(ROOT / source).rglob("*.py")]
        if path.is_file()
    )
    mutants, among = drawn(ROOT, files, seed, count)
    print(f"{len(mutants)} of {among} mutants in {len(files)} files", flush=True)
    return mutants


def _print(mutants: Sequence[Mutant], judged: Judged) -> None:
    counts = Counter(judged.verdict(mutant) for mutant in mutants)
    killed = proportion(counts[Verdict.KILLED], len(mutants), "no mutant was drawn")
    print(dict(counts), killed)
    for mutant in mutants:
        if (verdict := judged.verdict(mutant)) != Verdict.KILLED:
            print(f"\n{verdict}: {_name(mutant)}\n- {mutant.before}\n+ {mutant.after}")


if __name__ == "__main__":
    main(sys.argv[1:])
