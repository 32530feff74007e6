"""`jobs.health --why` has a word on everything that the code may complain of, as it is read from
the code."""

import ast
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from jobs import health as command
from jobs.codes import entries, entries_of
from pima import errors
from pima.core.rows.validation import CODES, MEANINGS
from pima.core.verdicts.reasons import Reason
from pima.settings.sections import JOBS
from pima.store.service.runs import ENDINGS, Status
from pima.watch import conditions, health
from pima.watch.health import Condition
from pima.watch.news import Alert, News, message
from tests.support.shipped import ROOT

PIMA = sorted((ROOT / "pima").rglob("*.py"))
_TELLS = "note_missed"
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def _classes(of: type[BaseException]) -> Iterator[type[BaseException]]:
    yield of
    for derived in of.__subclasses__():
        yield from _classes(derived)


def _error_codes() -> set[tuple[str, int]]:
    """Each error's code, with the exit code that it ends a command with; what is never raised
    itself has no text."""
    return {
        (each.code, each.exit_code)
        for each in _classes(errors.PimaError)
        if each.__module__ != errors.PimaError.__module__
    }


def _said_with_a_status(node: ast.AST) -> Iterator[str]:
    """Codes that stand in a call or a pair beside a run's status; of an f-string what comes before
    its first figure."""
    parts = (
        node.args
        if isinstance(node, ast.Call)
        else node.elts
        if isinstance(node, ast.Tuple)
        else []
    )
    is_told = isinstance(node, ast.Call) and _TELLS in ast.unparse(node.func)
    if is_told or any(re.search(r"\bStatus\.[A-Z]", ast.unparse(part)) for part in parts):
        for part in parts:
            said = part.body if isinstance(part, ast.IfExp) else part
            first = said.values[0] if isinstance(said, ast.JoinedStr) else said
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield first.value


def _codes_of_runs() -> set[str]:
    """What the scheduler and the runs' own upkeep write into `runs.error_code`."""
    found = set()
    for path in PIMA:
        for node in ast.walk(ast.parse(path.read_text())):
            found |= {
                text
                for text in _said_with_a_status(node)
                if re.fullmatch(r"[a-z]+(_[a-z]+)+_?", text)
            }
            if (
                isinstance(node, ast.keyword)
                and node.arg == "error_code"
                and isinstance(node.value, ast.Constant)
            ):
                found.add(str(node.value.value))
    return found


def _reasons_of_health() -> set[str]:
    """The word of each complaint."""
    source = Path(health.__file__).read_text()
    words = re.findall(r'(?:_complaint\(|_ended_badly\([^\n]*, )f?"(\w+|\{job\}_\w+)"', source)
    return {word.replace("{job}", job) for word in words for job in JOBS}


def _reasons_of_alerts() -> set[str]:
    source = Path(conditions.__file__).read_text()
    return set(re.findall(r'(?:Condition\(f"|EXPLAINED\["|name = ")(\w+)[:"]', source))


def _reasons_of_rows() -> set[str]:
    sources = "".join(
        (ROOT / "pima" / "core" / "rows" / name).read_text()
        for name in ("mapping.py", "history.py")
    )
    return set(re.findall(r'(?:mark\(block, \w+, |left_out\[)"(\w+)"', sources)) | {*CODES[1:]}


def test_the_codes_are_found() -> None:
    """Else the tests below would say nothing."""
    assert {("database_away", 75), ("artifact_damaged", 1), ("too_few_labels", 3)} <= _error_codes()
    assert {
        "timed_out",
        "heartbeat_lost",
        "too_late",
        "still_running",
        "killed_by_",
        "exit_code_",
    } <= _codes_of_runs()
    assert {"scheduler_silent", "retrain_failed", "score_not_succeeding"} <= _reasons_of_health()
    assert {"awaits_approval", "champion_changed", "verdict_blocked"} <= _reasons_of_alerts()
    assert {"bad_person", "twin_of_holdout", "missing", "not_a_number"} <= _reasons_of_rows()


def test_each_error_is_explained_with_its_exit_code() -> None:
    assert {(each.code, each.exit_code) for each in entries()} >= _error_codes()


def test_each_code_of_a_run_is_explained_and_no_other() -> None:
    assert ENDINGS.keys() == _codes_of_runs()


def test_each_reason_of_health_is_explained_with_what_to_do() -> None:
    assert health.COMPLAINTS.keys() == _reasons_of_health()
    assert all(
        means and advice for means, advice in {**health.COMPLAINTS, **conditions.EXPLAINED}.values()
    )
    assert _reasons_of_alerts() <= conditions.EXPLAINED.keys()


def test_each_reason_of_a_row_is_explained() -> None:
    known = {each.code for each in entries()}
    assert _reasons_of_rows() <= known
    assert {reason for each in MEANINGS for reason in [each]} <= known


@pytest.mark.parametrize("reason", [str(reason) for reason in Reason])
def test_each_reason_of_a_verdict_is_explained(reason: str) -> None:
    assert any(
        each.kind == "reason of a verdict" and len(each.means.split()) > 4
        for each in entries_of(reason)
    )


def _message(code: str) -> str:
    condition = Condition(f"{code}:clinic", "it is so", "look")
    alert = Alert(News.HOLDS, condition.name, NOW, condition)
    return message(alert, "pima").body


def test_a_message_leads_to_its_code_and_each_code_has_a_heading() -> None:
    folder, names = ROOT / "docs" / "reference", [each.name for each in entries()]
    headings = re.findall(r"^### `(\w+)`$", (folder / "errors.md").read_text(), re.MULTILINE)
    assert sorted(headings) == sorted(names)
    told = {*health.COMPLAINTS, *conditions.EXPLAINED, *(code for code, _ in _error_codes())}
    links = {
        code: re.findall(r"^More: docs/reference/(.+)$", _message(code), re.M) for code in told
    }
    assert links == {code: [f"errors.md#{code}"] for code in headings if code in told}


def test_every_entry_is_whole_sentences() -> None:
    for each in entries():
        assert re.match(r"[A-Z`]", each.means), each
        assert "{" not in str(each), each


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("killed_by_SIGKILL", "container's limit"),
        ("heartbeat_lost", "out of memory"),
        ("exit_code_9", "error_line"),
        ("unexpected_KeyError", "defect"),
        ("pull_failed:clinic", "jobs.pull"),
        ("interrupted", "signal"),
    ],
)
def test_a_code_is_explained_as_people_copy_it(
    code: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--why", code, "--config", "/absent.toml"], {}) == 0
    assert said in capsys.readouterr().out


def test_a_code_may_have_several_meanings(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--json", "--why", "no_champion"], {}) == 0
    told = json.loads(capsys.readouterr().out)["why"]
    assert {each["kind"] for each in told} == {"reason of health", "error, exit code 3"}


def test_an_unknown_code_is_answered_with_the_page_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert command.main(["--why", "databse_away"], {}) == 2
    assert "no such code; docs/reference/errors.md has them all" in capsys.readouterr().err


@pytest.mark.parametrize("status", [str(status) for status in Status])
def test_each_status_is_told(status: str) -> None:
    assert f"`{status}`" in (ROOT / "docs" / "reference" / "tables.md").read_text()


def test_each_exit_code_is_told() -> None:
    page = (ROOT / "docs" / "reference" / "errors.md").read_text()
    known = {
        value for name, value in vars(errors).items() if name.isupper() and isinstance(value, int)
    }
    told = {
        int(code)
        for row in re.findall(r"^\| ([\d, ]+) \|", page, re.MULTILINE)
        for code in row.split(", ")
    }
    assert told == known
