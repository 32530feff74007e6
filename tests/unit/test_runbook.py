"""docs/operations.md has a word on everything that the code may complain of, as it is read from the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pima import errors
from pima.core.reasons import Reason
from pima.extras.alerts import ADVICE
from pima.runs.ticks import JOBS
from pima.store.runs import Status
from pima.watch import health
from tests.support.shipped import ROOT

PAGE = (ROOT / "docs" / "operations.md").read_text()
PIMA = sorted((ROOT / "pima").rglob("*.py"))
# Words in the scheduler's code that are a library's, and no codes.
_LIBRARIES = {"day_of_week"}


def _classes(of: type[BaseException]) -> Iterator[type[BaseException]]:
    yield of
    for derived in of.__subclasses__():
        yield from _classes(derived)


def _error_codes() -> dict[str, int]:
    """Each error's code, with the exit code that it ends a command with."""
    of_exit_codes = (errors.WrongError, errors.RefusedError, errors.TemporaryError)
    return {each.code: each.exit_code for each in _classes(errors.PimaError) if each not in of_exit_codes}


def _constants(tree: ast.AST) -> Iterator[str]:
    """Texts of a module, but for the keys of its dictionaries; of an f-string what comes before its first figure."""
    keys = {id(key) for node in ast.walk(tree) if isinstance(node, ast.Dict) for key in node.keys}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in keys:
            yield node.value


def _codes_of_runs() -> set[str]:
    """What the scheduler and the runs' own upkeep write into `runs.error_code` and `runs.trigger`."""
    found = set()
    for path in PIMA:
        source = path.read_text()
        if path.parent.name != "runs" and "error_code=" not in source:
            continue
        tree = ast.parse(source)
        if path.parent.name == "runs":
            found |= {text for text in _constants(tree) if re.fullmatch(r"[a-z]+(_[a-z]+)+_?", text)}
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "error_code" and isinstance(node.value, ast.Constant):
                found.add(str(node.value.value))
    return found - _LIBRARIES


def _reasons_of_health() -> set[str]:
    """The word of each complaint."""
    source = Path(health.__file__).read_text()
    words = re.findall(r'Complaint\(f?"(\w+|\{job\}_\w+)", ', source)
    return {word.replace("{job}", job) for word in words for job in JOBS}


def test_the_codes_are_found() -> None:
    """Else the tests below would say nothing."""
    assert {"database_away", "artifact_damaged", "too_few_labels", "failed"} <= _error_codes().keys()
    assert {"timed_out", "heartbeat_lost", "too_late", "still_running", "killed_by_", "catch_up"} <= _codes_of_runs()
    assert {"scheduler_silent", "retrain_failed", "score_not_succeeding"} <= _reasons_of_health()


@pytest.mark.parametrize("code", sorted(_error_codes()))
def test_each_error_is_told_below_its_exit_code(code: str) -> None:
    sections = re.split(r"^### Exit codes? ", PAGE, flags=re.MULTILINE)[1:]
    (section,) = [text for text in sections if text.startswith(f"{_error_codes()[code]}\n")]
    assert re.search(rf"^\| `{code}` \|", section.partition("\n## ")[0], re.MULTILINE)


def test_a_stop_is_told() -> None:
    assert f"| `{errors.Interrupted.code}` |" in PAGE


@pytest.mark.parametrize("code", sorted(_codes_of_runs()))
def test_each_code_of_a_run_is_told(code: str) -> None:
    assert re.search(rf"`{code}{'[A-Z.]+' if code.endswith('_') else ''}`", PAGE)


@pytest.mark.parametrize("reason", sorted(_reasons_of_health()))
def test_each_reason_of_health_is_told_on_the_page_and_with_an_alert(reason: str) -> None:
    section = PAGE.partition("## What health complains of")[2].partition("\n## ")[0]
    assert f"`{reason}`" in section
    assert reason in ADVICE


@pytest.mark.parametrize("status", [str(status) for status in Status])
def test_each_status_is_told(status: str) -> None:
    assert f"`{status}`" in PAGE


def test_each_exit_code_is_told() -> None:
    section = PAGE.partition("## Exit codes")[2].partition("\n## ")[0]
    known = {value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)}
    told = {int(code) for row in re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE) for code in row.split(", ")}
    assert told == known


@pytest.mark.parametrize("reason", [str(reason) for reason in Reason])
def test_each_reason_of_a_verdict_is_told(reason: str) -> None:
    assert f"\n| `{reason}` |" in (ROOT / "docs" / "understand" / "model-and-gate.md").read_text()
