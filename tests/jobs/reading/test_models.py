"""What `models` and `retrain` show: on a terminal tables that a person reads, in JSON every
digit."""

import json
import os
import pty
import re
import subprocess
import sys
import threading
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest

from jobs import retrain
from tests.support.databases import Database, call, clean_environ, the_json
from tests.support.shipped import ROOT, SHIPPED
from tests.support.trained import install_models

pytestmark = pytest.mark.usefixtures("equal_fits_once", "without_reports")
# How it is shown is no matter of the database.
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)

MORE_DIGITS_THAN_A_PERSON_READS = re.compile(r"\d\.\d{7,}")


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")


def _verdicts(database: Database) -> dict[int, dict[str, Any]]:
    rows = database.execute(
        "SELECT challenger, verdict, from_version, figures FROM promotions ORDER BY id"
    )
    read = [
        (*rest, json.loads(figures) if isinstance(figures, str) else figures)
        for *rest, figures in rows
    ]
    return {
        number: {"verdict": verdict, "against": against, **figures}
        for number, verdict, against, figures in read
    }


def test_a_version_is_listed_with_what_was_judged_on_the_same_rows(
    scored_database: Database,
) -> None:
    lines = call(scored_database, "models", "list").stdout.splitlines()
    listed = the_json(call(scored_database, "models", "list", "--json"))["versions"]
    verdicts = _verdicts(scored_database)
    assert len(lines) == 1 + len(verdicts) == 4
    assert "holdout accuracy" not in lines[0]
    for line, version, number in zip(lines[1:], listed, (3, 2, 1), strict=True):
        found = verdicts[number]
        scores, champion = found["challenger"], found["champion"]
        beside = f"majority class: {found['majority_correct']}"
        if champion:
            beside = f"version {found['against']}: {champion['correct']}"
        assert line.split()[0] == str(number)
        assert f" {found['verdict']} " in line
        gained = found["measured"]
        if champion:
            low, high = gained["interval_low"], gained["interval_high"]
            beside += f"; gain {gained['gain']:.4f} ({low:.4f} to {high:.4f})"
        assert line.rstrip().endswith(f"{scores['correct']} of {scores['rows']}, {beside}"), line
        told = {
            name: found[name] for name in ("verdict", "against", "majority_correct", "measured")
        }
        told |= {"rows": scores["rows"], "correct": scores["correct"]}
        told |= {
            "champion_correct": champion and champion["correct"],
            "reason": version["judged"]["reason"],
        }
        assert (version["number"], version["judged"]) == (number, told)
        assert version["metrics"]["holdout"]["accuracy"] == scores["accuracy"]


@on_sqlite
def test_versions_that_no_verdict_or_no_finite_number_was_given_on_are_listed(
    scored_database: Database,
) -> None:
    scored_database.execute("DELETE FROM promotions WHERE challenger = 1")
    figures = json.dumps({"majority_correct": 7, "whole_rows": 9, "consultations": 1})
    scored_database.execute(
        "UPDATE promotions SET verdict = 'blocked', reason = 'not_finite', figures = :figures "
        "WHERE challenger = 2",
        {"figures": figures},
    )
    ended = call(scored_database, "models", "list")
    assert ended.exit_code == 0, ended.stderr
    _, second, first = ended.stdout.splitlines()[1:]
    assert "blocked: not_finite" in second
    assert first.rstrip().endswith("none recorded")


@on_sqlite
def test_on_eighty_columns_nothing_of_the_list_is_cut_off(
    scored_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    scored_database.execute(
        "UPDATE promotions SET verdict = 'blocked', reason = 'below_minimum_gain'"
    )
    assert call(scored_database, "models", "pin", "--reason", "a person's word").exit_code == 0
    lines = call(scored_database, "models", "list").stdout.splitlines()
    assert all(len(line) <= 80 for line in lines)
    listed = "\n".join(lines)
    assert "…" not in listed
    assert listed.count("blocked: below_minimum_gain") == 3
    assert "1 (champion," in listed
    assert "pinned)" in listed
    for number in (1, 2, 3):
        scores = _verdicts(scored_database)[number]["challenger"]
        assert f"{scores['correct']} of {scores['rows']}" in listed


@on_sqlite
def test_a_version_is_shown_without_dictionaries_and_long_numbers(
    scored_database: Database,
) -> None:
    call(scored_database, "models", "promote", "2", "--reason", "a person's word")
    shown = call(scored_database, "models", "show", "2").stdout
    assert not set("{}[]'") & set(shown.replace("a person's word", ""))
    assert not MORE_DIGITS_THAN_A_PERSON_READS.search(shown)
    found = _verdicts(scored_database)[2]
    for part in ("challenger", "champion"):
        assert f"{found[part]['accuracy']:.1%}".replace("%", " %") in shown
    assert re.search(
        rf"correct of {found['champion']['rows']} +{found['challenger']['correct']} +", shown
    )
    assert "promoted_by_hand by" in shown
    assert "pregnancies, glucose, " in shown
    exact = the_json(call(scored_database, "models", "show", "2", "--json"))
    assert exact["decisions"][-1]["figures"]["challenger"] == found["challenger"]
    assert exact["version"]["settings"]["recipe"]["hidden_units"] == 16


@on_sqlite
def test_a_rollback_that_is_run_again_goes_back_once_if_it_names_the_version(
    scored_database: Database,
) -> None:
    for number in ("2", "3"):
        assert (
            call(scored_database, "models", "promote", number, "--reason", "a test").exit_code == 0
        )
    moved_at = the_json(call(scored_database, "models", "show", "3", "--json"))["decisions"][0][
        "decided_at"
    ]
    asked = ("models", "rollback", "--reason", "worse", "--from", "3")
    ended = call(scored_database, *asked)
    assert ended.exit_code == 0
    assert ended.stdout.splitlines() == [
        "champion: version 2",
        f"before: version 3, since {moved_at[:19].replace('T', ' ')} UTC",
    ]
    ledger = scored_database.execute("SELECT id FROM promotions")
    again = call(scored_database, *asked)
    assert (again.exit_code, again.stdout) == (0, "champion: version 2\n")
    assert "nothing was done" in again.stderr
    assert scored_database.execute("SELECT id FROM promotions") == ledger
    further = the_json(call(scored_database, "models", "rollback", "--reason", "worse", "--json"))
    assert (further["from_version"], further["model_version"]) == (2, 1)
    assert further["last_moved_at"] > moved_at


def test_an_export_that_fails_leaves_no_file_and_can_be_tried_again(
    sqlite: Database, trained: Path, tmp_path: Path
) -> None:
    install_models(sqlite, trained)
    path = tmp_path / "version.keras"
    line = f"ulimit -f 2; exec {sys.executable} -m jobs.models export 1 {path}"
    environ = clean_environ() | {"DATABASE_URL": sqlite.url}
    ended = subprocess.run(
        ["sh", "-c", line], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert (ended.returncode, "could not be written: File too large" in ended.stderr) == (
        1,
        True,
    ), ended
    assert not path.exists()
    assert call(sqlite, "models", "export", "1", str(path)).exit_code == 0
    assert call(sqlite, "models", "export", "2", str(path)).exit_code == 2


def _on_a_terminal(database: Database) -> str:
    """What a person sees of a retraining, stdout and stderr as they come."""
    ours, theirs = pty.openpty()
    seen = bytearray()

    def read() -> None:
        with suppress(OSError):  # how Linux says that the other side is closed
            while part := os.read(ours, 65536):
                seen.extend(part)

    reader = threading.Thread(target=read)
    reader.start()
    with os.fdopen(theirs, "w") as terminal, redirect_stdout(terminal), redirect_stderr(terminal):
        exit_code = retrain.main([], {"DATABASE_URL": database.url})
    reader.join()
    os.close(ours)
    assert exit_code == 0, seen.decode()
    return seen.decode().replace("\r\n", "\n")


def test_retraining_on_a_terminal_ends_in_a_short_table(
    sqlite: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("NO_COLOR", "1")
    assert call(sqlite, "load", str(SHIPPED)).exit_code == 0
    first = call(sqlite, "retrain").stdout
    assert re.search(r"(?m)^ *correct of \d+ +\d+ *$", first), first
    seen = _on_a_terminal(sqlite)
    assert not set("{}") & set(seen), seen
    assert not MORE_DIGITS_THAN_A_PERSON_READS.search(seen), seen
    assert all(line.count("=") <= 6 for line in seen.splitlines()), seen
    assert "challenger, version 2" in seen
    assert seen.count("holdout rows: challenger") == 1, seen
    words = seen.partition(" training rows")[2]
    assert max(map(len, words.splitlines())) < 80, seen
    assert "champion, version 1" in seen
    assert re.search(r"(?m)^ *correct of \d+ +\d+ +\d+ *$", seen), seen


def test_in_json_lines_a_finished_run_keeps_all_its_counts(sqlite: Database) -> None:
    assert call(sqlite, "load", str(SHIPPED)).exit_code == 0
    ended = call(sqlite, "retrain", "--json", PIMA_LOGS__FORMAT="json")
    (finished,) = [
        line
        for line in map(json.loads, ended.stderr.splitlines())
        if line["event"] == "run finished"
    ]
    counts = the_json(ended)
    its_own = {"dry_run", "threshold_remarks"}
    assert {name: finished[name] for name in counts if name not in its_own} == {
        k: v for k, v in counts.items() if k not in its_own
    }
