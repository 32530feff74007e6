"""The figures in a report are those of the evidence that the ledger keeps, each in its row and its column."""

import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from pima.core.wording import FIGURES
from pima.report.contents import calibration
from tests.support.databases import Database, call, the_json

Table = list[list[str]]
_PARTS = ("value", "low", "high")


@pytest.fixture
def told(scored_database: Database, tmp_path: Path) -> tuple[dict[str, Any], list[Table]]:
    """The last verdict's evidence, and the tables of the report's section about it: challenger first."""
    last, met = scored_database.execute("SELECT challenger, from_version FROM promotions ORDER BY id DESC LIMIT 1")[0]
    scored_database.execute(f"UPDATE champion SET model_version = {last}")
    path = tmp_path / "report.html"
    assert call(scored_database, "report", "--out", str(path)).exit_code == 0
    section = re.findall(r'<section id="evidence".*?</section>', path.read_text(), re.DOTALL)[0]
    tables = [_rows(each) for each in re.findall(r"<table>.*?</table>", section, re.DOTALL)]
    evidence: dict[str, Any] = the_json(call(scored_database, "models", "show", str(last), "--json"))["evidence"]
    assert tables[-2][0] == ["figure", f"version {last}, challenger", f"version {met}, champion"]
    return evidence, tables


def _rows(table: str) -> Table:
    rows = re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)
    return [[_text(each) for each in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL)] for row in rows]


def _text(cell: str) -> str:
    return unescape(re.sub(r"<[^>]*>|&shy;", " " if "<br>" in cell else "", cell)).replace("\xa0", " ")


def _with_interval(figure: dict[str, Any], digits: int = 3, to: str = " to ") -> str:
    if figure["value"] is None:
        return f"none: {figure['reason']}"
    value, low, high = (f"{figure[each]:.{digits}f}" if figure[each] is not None else "" for each in _PARTS)
    return f"{value} ({low}{to}{high})" if low else value


def test_each_figure_and_each_subgroup_is_that_of_its_model(told: tuple[dict[str, Any], list[Table]]) -> None:
    evidence, (*_, figures, subgroups) = told
    assert [row[1:] for row in figures[1:]] == [
        [_with_interval(evidence[role][name]) for role in ("challenger", "champion")] for name in FIGURES
    ]
    shown = [each for each in evidence["subgroups"] if each["rows"]]
    assert [row for row in subgroups[1:] if len(row) == 4 and row[1] != "-"] == [
        [
            each["group"],
            f"{each['rows']}{'*' if each['few'] else ''} ({each['positive']})",
            *(_with_interval(each[role]["auroc"], 2, "\N{EN DASH}") for role in ("challenger", "champion")),
        ]
        for each in shown
    ]


def test_each_curve_has_its_own_figures(told: tuple[dict[str, Any], list[Table]]) -> None:
    evidence, (roc, of_challenger, of_champion, decision, distribution, *_) = told
    positive, negative = evidence["positive"], evidence["rows"] - evidence["positive"]
    for row, benefit in zip(roc[2:], decision[1:], strict=True):
        n = evidence["thresholds"].index(int(row[0].removesuffix(" %")) / 100)
        for place, role in enumerate(("challenger", "champion")):
            called = evidence[role]["called"]
            sensitivity, specificity = called["cases"][n] / positive, 1 - called["others"][n] / negative
            assert row[1 + 2 * place : 3 + 2 * place] in (
                ["-", "-"],
                [f"{100 * sensitivity:.0f} %", f"{100 * specificity:.0f} %"],
            )
            assert benefit[1 + place] in ("-", f"{100 * evidence[role]['net_benefit']['net_benefit'][n]:z.1f}")
        assert benefit[3] == f"{100 * evidence['treat_all']['net_benefit'][n]:z.1f}"
    for role, table in (("challenger", of_challenger), ("champion", of_champion)):
        assert [[row[0], row[1], row[2].partition(" (")[0]] for row in table[1:]] == [
            [f"{each.rows}", f"{100 * each.predicted:.1f} %", f"{100 * (each.observed.value or 0):.0f} %"]
            for each in calibration(evidence, role)
        ]
    assert [sum(int(row[n]) for row in distribution[1:]) for n in (1, 2)] == [positive, negative]
