"""The report: what it tells, also where there is little to tell, and where it is left."""

import os
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from xml.etree import ElementTree

import pytest
from sqlalchemy import Engine, event

from pima.core.statistics.estimates import in_words
from pima.core.statistics.performance import FIGURES
from pima.core.verdicts.evidence import Evidence, read_evidence
from pima.errors.extras import install_line
from pima.report.contents import calibration
from tests.support.alert_receiver import AlertReceiver
from tests.support.databases import (
    Copied,
    Database,
    call,
    clean_environ,
    insert_many,
    insert_patients,
    the_json,
)
from tests.support.declared import DECLARED, configuration
from tests.support.shipped import ROOT
from tests.support.trained import load_shipped

pytestmark = pytest.mark.usefixtures("each_fit_once")
on_sqlite = pytest.mark.parametrize("copied", ["sqlite"], indirect=True)


TRUST = "understand/can-we-trust-it.md"


class Page:
    """A page as a reader's software takes it: its elements, closed in order, and its texts."""

    def __init__(self, html: str) -> None:
        self.html = html
        plain = (
            html.replace("&shy;", "").replace("&nbsp;", " ").replace("<details open>", "<details>")
        )
        closed = re.sub(r"<((?:meta|link|br|wbr)\b[^>]*)>", r"<\1/>", plain)
        self.root = ElementTree.fromstring(closed.removeprefix("<!DOCTYPE html>"))  # noqa: S314 (our own)

    def of(self, tag: str) -> list[dict[str, str]]:
        return [each.attrib for each in self.root.iter(tag)]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.root.itertext()).split())


def _report(database: Database, folder: Path, *arguments: str, **environ: str) -> Page:
    path = folder / "report.html"
    found = the_json(call(database, "report", "--json", "--out", str(path), *arguments, **environ))
    assert found == {"path": str(path), "bytes": path.stat().st_size}
    page = Page(path.read_text())
    # It needs nothing else.
    assert page.of("script") == page.of("img") == page.of("iframe") == []
    assert [each for each in page.of("link") if each["rel"] != "icon"] == []
    assert set(re.findall(r"https?://[^\"' ]*", page.html)) <= {"http://www.w3.org/1999/xlink"}
    assert "url(" not in re.sub(r"url\(#\w+\)", "", page.html)
    ids = [each.attrib["id"] for each in page.root.iter() if "id" in each.attrib]
    assert len(ids) == len(set(ids))
    linked = [each["href"] for each in page.of("a")]
    assert {f"#{each}" for each in ids} >= set(linked)
    assert all({"role", "viewBox"} <= each.keys() for each in page.of("svg"))
    assert len(re.findall(r"<svg[^>]*><title>[^<]+</title><desc>[^<]+</desc>", page.html)) == len(
        page.of("svg")
    )
    assert all("scope" in each for each in page.of("th"))
    # Each picture has its figures in the page.
    assert len(page.of("table")) >= len(page.of("svg"))
    return page


def _lived_in(database: Database) -> None:
    """A history with a first champion, nights with rejections, outcomes that came, and a second
    verdict."""
    load_shipped(database)
    assert call(database, "retrain").exit_code == 0
    insert_many(database, 60, glucose="80 + n * 2")
    insert_patients(database, 4, bmi=5_000)
    insert_patients(database, 2, age=3_000)
    assert call(database, "score").exit_code == 0
    database.execute(
        "UPDATE patients SET outcome = CASE WHEN glucose > 140 THEN 1 ELSE 0 END WHERE outcome IS "
        "NULL"
    )
    insert_patients(database, 5)
    assert call(database, "retrain").exit_code == 0


@pytest.fixture
def lived_in(copied: Copied) -> Database:
    return copied(_lived_in)


def test_with_nothing_yet_it_says_what_to_do_next(sqlite: Database, tmp_path: Path) -> None:
    page = _report(sqlite, tmp_path)
    assert page.of("svg") == []
    for command in ("load FILE", "retrain", "score", "load outcomes.csv"):
        assert f"python -m jobs.{command}" in page.text
    assert page.text.count("none yet") == 1
    assert "diabetes within five years" in page.text


def test_report_and_pages_say_the_same_of_what_two_reports_tell(
    sqlite: Database, tmp_path: Path
) -> None:
    pages = [(ROOT / "docs" / each).read_text() for each in ("do/watch-it.md", TRUST)]
    for text in (_report(sqlite, tmp_path).text, *pages):
        said = " ".join(text.split())
        assert "no group of fewer than 10 is shown" in said or "no group of fewer than ten" in said
        assert re.search(
            "If a single outcome came between two reports( or cards)?, they reveal it", said
        )
        assert not re.search("(no|a) patient (can|could) be|identifies", said)


def test_what_has_settled_is_read_once(lived_in: Database, tmp_path: Path) -> None:
    read = []

    def note(*asked: Any) -> None:
        read.append("WITH newest AS MATERIALIZED" in asked[2])

    event.listen(Engine, "before_cursor_execute", note)
    _report(lived_in, tmp_path)
    event.remove(Engine, "before_cursor_execute", note)
    assert read.count(True) == 1


def test_it_tells_of_a_service_that_has_lived(lived_in: Database, tmp_path: Path) -> None:
    page = _report(lived_in, tmp_path)
    champion = lived_in.value("SELECT model_version FROM champion")
    assert f"version {champion}" in page.text
    assert len(page.of("svg")) == 9
    assert "5 rows waiting" in page.text
    (rejections,) = re.findall(
        r"Rows that can't be scored as they are.*?</table>", page.html, re.DOTALL
    )
    assert re.findall(r"<tr>.*?</tr>", rejections, re.DOTALL)[1:] == [
        '<tr><th scope="row">out of range</th><td>bmi</td><td class="number">4</td></tr>',
        '<tr><th scope="row">out of range</th><td>age</td><td class="number">2</td></tr>',
    ]
    assert "No sources are declared" in page.text
    # What came true is what a plain query says.
    ((outcomes, correct, predicted, observed),) = lived_in.execute("""
        SELECT count(*), sum(CASE WHEN predicted_class = outcome THEN 1 ELSE 0
            END), avg(probability), avg(outcome)
        FROM patients JOIN predictions ON patient_id = id WHERE scored_at <= labelled_at""")
    (section,) = re.findall(r'<section id="realised".*?</section>', page.html, re.DOTALL)
    rows = re.findall(
        r'<td class="number">(\d+)</td><td class="number">(\d+) \((\d+) %\)</td>', section
    )
    # A Monday may begin while this runs.
    assert [sum(int(row[n]) for row in rows) for n in (0, 1)] == [outcomes, correct]
    if len(rows) == 1:
        cells = f'>{100 * predicted:.0f} %</td><td class="number">{100 * float(observed):.0f} %<'
        assert cells in section
    ratio = lived_in.value("""
        SELECT sum(outcome) / sum(probability) FROM patients JOIN predictions ON patient_id = id
        WHERE scored_at <= labelled_at GROUP BY model_version ORDER BY model_version DESC""")
    # Beside each figure on top stands its interval, and not the figure again.
    on_top = page.text.partition("Waiting to be scored")[0]
    assert re.search(
        rf"Observed / expected {ratio:.2f} 95 %: \d\.\d\d to \d\.\d\d; \d+ settled", on_top
    )
    assert re.search(r"Area under ROC \d\.\d\d 95 %: \d\.\d\d to \d\.\d\d; \d+ settled", on_top)


@on_sqlite
def test_each_retraining_leaves_one_and_few_are_kept(lived_in: Database, tmp_path: Path) -> None:
    assert lived_in.value("SELECT count(*) FROM reports") == 2
    lived_in.execute("INSERT INTO reports (html) VALUES ('a'), ('b'), ('c')")
    dry = call(lived_in, "retrain", "--dry-run")
    assert (dry.exit_code, lived_in.value("SELECT count(*) FROM reports")) == (0, 5)
    folder = tmp_path / "shown"
    folder.mkdir()
    (folder / "pima-report.html").write_text(_report(lived_in, tmp_path).html)
    ended = call(lived_in, "retrain", PIMA_REPORT__FOLDER=str(folder))
    assert ended.exit_code == 0
    kept = [row[0] for row in lived_in.execute("SELECT html FROM reports ORDER BY id")]
    assert kept[:3] == ["a", "b", "c"]
    assert [path.name for path in folder.iterdir()] == ["pima-report.html"]
    assert (folder / "pima-report.html").read_text() == kept[3]
    assert _report(lived_in, tmp_path, "--last").html == kept[3]
    # A run that is closed is not written again, nor does its report come after it.
    order = "SELECT max(finished_at) >= (SELECT max(made_at) FROM reports) FROM runs"
    assert lived_in.value(order)
    # That none could be left there fails no retraining.
    ended = call(
        lived_in, "retrain", PIMA_REPORT__FOLDER=str(tmp_path / "nowhere"), PIMA_LOGS__FORMAT="json"
    )
    assert (ended.exit_code, "file_not_written" in ended.stderr) == (0, True)
    assert not (tmp_path / "nowhere").exists()


@on_sqlite
def test_people_are_told_of_a_report_that_could_not_be_left_until_one_is(
    lived_in: Database, tmp_path: Path, listener: AlertReceiver
) -> None:
    def told() -> list[str]:
        assert call(lived_in, "alert", PIMA_ALERTS__URLS=listener.url).exit_code == 0
        return [title for title in listener.titles if "report" in title]

    assert told() == []
    assert call(lived_in, "retrain", PIMA_REPORT__FOLDER=str(tmp_path / "nowhere")).exit_code == 0
    assert told() == ["report_not_left"]
    (message,) = [
        each["message"] for each in listener.got if each["title"].endswith("report_not_left")
    ]
    assert message.startswith(
        "The last retraining left no report, or not everywhere (file_not_written)."
    )
    assert "`python -m jobs.retrain`" in message
    assert call(lived_in, "retrain").exit_code == 0
    assert told() == ["report_not_left", "report_not_left is over"]


def test_without_the_report_extra_the_last_report_can_be_had(
    sqlite: Database, tmp_path: Path
) -> None:
    sqlite.execute("INSERT INTO reports (html) VALUES ('the last one')")
    path = tmp_path / "report.html"
    program = """
import os, sys
sys.modules["jinja2"] = None
from jobs.report import main
sys.exit(main(["--out", sys.argv[1]], os.environ) + 10 * main(["--last", "--out", sys.argv[1]], os.environ))
"""
    environ = clean_environ() | {"DATABASE_URL": sqlite.url}
    command = [sys.executable, "-c", program, str(path)]
    made = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert (made.returncode, install_line("report") in made.stderr) == (1, True)
    assert path.read_text() == "the last one"


def test_without_the_report_extra_a_card_names_what_installs_it(scored_database: Database) -> None:
    program = """
import os, sys
sys.modules["jinja2"] = None
from jobs.models import main
sys.exit(main(["list"], os.environ) + main(["card"], os.environ))
"""
    environ = clean_environ() | {"DATABASE_URL": scored_database.url}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environ, capture_output=True, text=True
    )
    assert (ended.returncode, install_line("report") in ended.stderr) == (1, True)


def test_where_it_can_not_be_written_what_was_there_stays(sqlite: Database, tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "kept").touch()
    for path in (tmp_path / "nowhere" / "report.html", taken):
        ended = call(sqlite, "report", "--out", str(path), "--json")
        assert (ended.exit_code, the_json(ended)["error"]) == (1, "file_not_written")
    assert [path.name for path in tmp_path.glob("*report*")] == []
    assert [path.name for path in taken.iterdir()] == ["kept"]
    last = call(sqlite, "report", "--last", "--json")
    assert (last.exit_code, the_json(last)["error"]) == (2, "no_report_kept")


def test_what_is_no_report_is_not_replaced(sqlite: Database, tmp_path: Path) -> None:
    lost, page, link, pipe = (
        tmp_path / name for name in ("lost.db", "page.html", "link.html", "pipe")
    )
    lost.write_bytes(b"SQLite format 3\0 and all patients")
    page.write_text("<!DOCTYPE html>\n<title>the ward's own</title>")
    link.symlink_to(lost)
    os.mkfifo(pipe)
    before = lost.read_bytes(), page.read_text()
    for path in (lost, page, link, pipe):
        ended = call(sqlite, "report", "--out", str(path), "--json")
        assert (ended.exit_code, the_json(ended)["error"]) == (2, "wrong_usage")
        assert str(path) in ended.stderr
    assert ((lost.read_bytes(), page.read_text()), link.is_symlink(), pipe.is_fifo()) == (
        before,
        True,
        True,
    )
    assert sorted(tmp_path.glob(".*")) == []


def test_an_earlier_report_or_an_empty_file_is_replaced_also_behind_a_link(
    sqlite: Database, tmp_path: Path
) -> None:
    place, link = tmp_path / "shown.html", tmp_path / "report.html"
    link.symlink_to(place)
    for _ in range(2):  # the link's file is not there at first, and is a report then
        page = _report(sqlite, tmp_path)
        assert (link.is_symlink(), place.read_text()) == (True, page.html)
    place.write_bytes(b"")
    (tmp_path / ".shown.html.0123abcd.part").touch()  # of one that was killed
    assert _report(sqlite, tmp_path).html == place.read_text()
    assert list(tmp_path.glob(".*")) == []


@on_sqlite
def test_a_champion_that_the_last_verdict_is_not_about_has_its_own_evidence(
    scored_database: Database, tmp_path: Path
) -> None:
    last, met = scored_database.execute(
        "SELECT challenger, from_version FROM promotions ORDER BY id DESC LIMIT 1"
    )[0]
    (other,) = {1, 2, 3} - {last, met}
    assert _report(scored_database, tmp_path).text.count("The verdict of ") == 1 + (other == 1)
    scored_database.execute(f"UPDATE champion SET model_version = {other}")
    page = _report(scored_database, tmp_path)
    assert page.text.count("The verdict of ") == 2
    first, second = re.findall(r"The verdict of [^.]*\.(.*?)\.", page.text)
    assert f"ersion {other} was the" in first
    assert f"ersion {last} was the challenger" in second
    assert "The rows that the champion learned from are not kept" in page.text


@on_sqlite
def test_it_begins_with_what_a_clinician_needs_and_explains_its_words(
    scored_database: Database, tmp_path: Path
) -> None:
    chosen = "threshold = 0.31, settings = json_set(settings, '$.threshold', 0.31)"
    scored_database.execute(f"UPDATE model_versions SET {chosen}")
    page = _report(scored_database, tmp_path)
    top = page.text.partition("Beside what is usual")[0]
    assert "The number says how likely this is: diabetes within five years" in top
    assert "This clinic acts from 0.31 on" in top
    assert "A person decides" in top
    # The first time that a word of the house is said, it leads to what it means.
    assert page.html.index('<a href="#words">Champion</a>') < page.html.index("version 1")
    meanings = page.text.rpartition("Words")[2]
    for word in ("champion", "verdict", "settled", "outcome 1"):
        assert word in meanings
    assert "docs/understand/words.md" in meanings


@on_sqlite
def test_words_of_the_clinic_s_own_are_no_markup(copied: Copied, tmp_path: Path) -> None:
    declared = DECLARED.replace("back in hospital", "<script>alert(1)</script> & back in hospital")
    database = copied(_declared, declared)
    page = _report(database, tmp_path, "--config", configuration(tmp_path, declared))
    assert (
        "What is predicted: <script>alert(1)</script> & back in hospital within thirty days."
        in page.text
    )


def _declared(database: Database, declared: str) -> None:
    with TemporaryDirectory() as folder:
        assert (
            call(database, "migrate", "--config", configuration(Path(folder), declared)).exit_code
            == 0
        )


Table = list[list[str]]


def _told(database: Database, folder: Path) -> tuple[Evidence, list[Table]]:
    """The last verdict's evidence, and the tables of the report's section about it: challenger
    first."""
    last, met = database.execute(
        "SELECT challenger, from_version FROM promotions ORDER BY id DESC LIMIT 1"
    )[0]
    database.execute(f"UPDATE champion SET model_version = {last}")
    path = folder / "report.html"
    assert call(database, "report", "--out", str(path)).exit_code == 0
    found = Page(path.read_text()).root.findall(".//section[@id='evidence']//table")
    tables = [
        [["".join(cell.itertext()) for cell in row] for row in table.iter("tr")] for table in found
    ]
    shown = the_json(call(database, "models", "show", str(last), "--json"))
    assert tables[-2][0] == ["figure", f"version {last}, challenger", f"version {met}, champion"]
    return read_evidence(shown["evidence"]), tables


@on_sqlite
def test_each_figure_subgroup_and_curve_is_that_of_its_model(
    scored_database: Database, tmp_path: Path
) -> None:
    evidence, tables = _told(scored_database, tmp_path)
    challenger, champion = both = evidence.contestants
    assert (challenger.role, champion.role) == ("challenger", "champion")
    roc, of_challenger, of_champion, decision, distribution, *_, figures, subgroups = tables
    assert [row[1:] for row in figures[1:]] == [
        [in_words(getattr(each, name)) for each in both] for name in FIGURES
    ]
    shown = [each for each in evidence.subgroups if each.rows]
    assert [row for row in subgroups[1:] if len(row) == 4 and row[1] != "-"] == [
        [
            each.group,
            f"{each.rows}{'*' if each.few else ''} ({each.positive or 'under 10'})",
            *(in_words(one.auroc, 2).replace(" to ", "\N{EN DASH}") for one in each.contestants),
        ]
        for each in shown
    ]
    positive, negative = evidence.positive, evidence.rows - evidence.positive
    for row, benefit in zip(roc[2:], decision[1:], strict=True):
        n = evidence.thresholds.index(int(row[0].removesuffix(" %")) / 100)
        for place, each in enumerate(both):
            sensitivity = each.called.cases[n] / positive
            specificity = 1 - each.called.others[n] / negative
            assert row[1 + 2 * place : 3 + 2 * place] in (
                ["-", "-"],
                [f"{100 * sensitivity:.0f} %", f"{100 * specificity:.0f} %"],
            )
            net_benefit = 100 * each.net_benefit.net_benefit[n]
            assert benefit[1 + place] in ("-", f"{net_benefit:z.1f}")
        of_all = 100 * evidence.treat_all.net_benefit[n]
        assert benefit[3] == ("below -100" if of_all < -100 else f"{of_all:z.1f}")
    assert decision[-1][3] == "below -100"
    for model, table in ((challenger, of_challenger), (champion, of_champion)):
        assert [[row[0], row[1], row[2].partition(" (")[0]] for row in table[1:]] == [
            [
                f"{each.rows}",
                f"{100 * each.predicted:.1f} %",
                f"{100 * (each.observed.value or 0):.0f} %",
            ]
            for each in calibration(evidence, model)
        ]
    assert [sum(int(row[n]) for row in distribution[1:]) for n in (1, 2)] == [positive, negative]
