"""What messages and pages say of extras is what pyproject.toml says, and asks no index for pima
itself."""

import re
import shlex
import sys
import tomllib

import pytest

from pima.errors.extras import EXTRAS, install_line
from tests.support.shipped import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TEXTS = [
    *(
        path
        for folder in ("pima", "jobs", "docs", "deploy", "config")
        for path in sorted((ROOT / folder).rglob("*.*"))
        if path.suffix != ".pyc"  # which may be left of a file that is gone
    ),
    *(path for path in sorted(ROOT.iterdir()) if path.is_file()),
]


def test_an_extra_brings_what_the_project_says() -> None:
    assert {name: list(brought) for name, brought in EXTRAS.items()} == PROJECT[
        "optional-dependencies"
    ]


@pytest.mark.parametrize("extra", EXTRAS)
def test_the_line_installs_them_where_this_runs(extra: str) -> None:
    python, *what = shlex.split(install_line(extra))
    assert (python, what) == (sys.executable, ["-m", "pip", "install", *EXTRAS[extra]])


def test_nothing_is_installed_by_a_name_that_may_be_a_stranger_s() -> None:
    by_name = re.compile(
        rb"\bpima(?:-scoring)?\[\w|pip install [^\n]*?(?<![\w/.-])pima(?:-scoring)?(?![\w/.-])"
    )
    assert len(TEXTS) > 100
    assert [found for path in TEXTS for found in by_name.findall(path.read_bytes())] == []


def test_the_pages_say_the_lines_that_messages_print() -> None:
    printed = {
        shlex.join(["python", "-m", "pip", "install", *brought]) for brought in EXTRAS.values()
    }
    pages = [path for path in TEXTS if path.suffix == ".md"]
    said = {
        line
        for path in pages
        for line in re.findall(r"python -m pip install '[^`\n]*", path.read_text())
    }
    assert said
    assert said <= printed
