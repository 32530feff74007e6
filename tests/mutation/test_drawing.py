"""`make mutation` tries itself first: it draws the same again, and notices what a test notices."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutation.drawing import at, drawn
from tests.support.shipped import ROOT

PEOPLE = "pima/core/nights/people.py"
FILES = ["pima/core/arrays.py", PEOPLE]


def test_a_seed_draws_the_same_mutants_and_another_seed_others() -> None:
    first, among = drawn(ROOT, FILES, seed=1, count=5)
    assert (first, among) == drawn(ROOT, FILES, seed=1, count=5)
    assert first != drawn(ROOT, FILES, seed=2, count=5)[0]
    assert first[0] in at(ROOT, f"{first[0].file}:{first[0].line}")


@pytest.mark.parametrize(
    ("by", "told"), [("test_people.py", "killed"), ("test_kinds.py", "run by no test")]
)
def test_a_mutant_is_killed_by_a_test_of_its_line_alone(tmp_path: Path, by: str, told: str) -> None:
    lines = (ROOT / PEOPLE).read_text().splitlines()
    line = lines.index("    if place == 0:") + 1
    asked = ["--at", f"{PEOPLE}:{line}", "--by", f"tests/unit/core/nights/{by}"]
    ended = subprocess.run(
        [sys.executable, "-m", "tests.mutation", *asked, "--folder", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    judged = re.findall(rf"^(.*?) +{PEOPLE}:{line} of", ended.stdout, re.MULTILINE)
    assert set(judged) == {told}, ended.stdout + ended.stderr
