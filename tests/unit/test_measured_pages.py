"""The pages of docs/measured are what their benches write: the templates' words, the figures that
are kept."""

import json
import re
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from benches import accuracy, tables
from benches.accuracy import report
from benches.accuracy.candidates import AS_WRITTEN, HONEST, Candidate
from benches.accuracy.fit_speed import FitSpeed
from benches.accuracy.judgement import judge
from benches.accuracy.provenance import Provenance
from benches.accuracy.results import BOOSTING, Large, Results, Row
from benches.gate import (
    page,
    page_of_acted,
    page_of_looks,
    page_of_margins,
    page_of_measures,
    page_of_served,
)
from benches.gate.policies import SCENARIOS
from benches.gate.summary import Summary
from benches.scale import page as page_of_scale
from benches.speed import page as page_of_speed
from benches.speed.__main__ import CASES
from benches.tables import page as page_of_tables
from benches.tables.candidates import CANDIDATES
from benches.tables.data_sets import data_sets
from benches.tables.standings import Standings
from benches.tables.trials import Answer, Trial
from tests.support.shipped import ROOT

FOLDER = ROOT / "docs" / "measured"
RAN = Provenance(date(2026, 1, 2), 3.0, "a machine", 2, "3.11", {"numpy": "2"}, 0.04)


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.glob("*.md")))
def test_each_page_begins_with_what_it_says_in_five_lines(name: str) -> None:
    head = (
        re.sub(r"<!--.*?-->\n", "", (FOLDER / name).read_text())
        .partition("\n\n")[2]
        .partition("\n\n")[0]
    )
    assert head.count("\n- ") + head.startswith("- ") == 5


@pytest.mark.parametrize("bench", [accuracy, tables], ids=["accuracy", "tables"])
def test_a_page_from_a_template_has_all_that_the_template_says(bench: object) -> None:
    folder = Path(str(bench.__file__)).parent  # type: ignore[attr-defined]
    said = (folder / "template.md").read_text().splitlines()
    written = (FOLDER / f"{folder.name}.md").read_text().splitlines()
    assert [line for line in said if "$" not in line and line not in written] == []


@pytest.mark.parametrize(
    "part",
    [
        page._HEAD,
        page._LEARNERS,
        page._SIMULATION.format(runs=60),
        page._DIFFERENCES,
        page._LIMITS,
        page_of_measures._HEAD.format(runs=20),
        page_of_margins._HEAD.format(runs=10),
        page_of_looks._HEAD.format(clinics=400),
        page_of_served._HEAD.format(clinics=200),
        page_of_acted._HEAD.format(clinics=100),
    ],
    ids=[
        "head",
        "learners",
        "simulation",
        "differences",
        "limits",
        "measures",
        "margins",
        "looks",
        "served",
        "acted",
    ],
)
def test_the_page_of_the_gate_has_all_that_its_parts_say(part: str) -> None:
    assert page.filled(part.strip()) in (FOLDER / "gate.md").read_text()


def test_the_page_of_speed_has_the_figures_that_are_kept() -> None:
    text = page_of_speed.PAGE.read_text()
    lines = page_of_speed.lines_of(json.loads(page_of_speed.RESULTS.read_text()), CASES)
    (where,) = re.findall(r"<!-- measured -->\n(.*)\n", text)
    assert page_of_speed.filled_in(text, lines, where) == text


def test_the_page_of_scale_has_the_figures_that_are_kept() -> None:
    text = page_of_scale.PAGE.read_text()
    assert page_of_scale.filled_in(text) == text


def _begins(text: str) -> list[str]:
    """The lines that a page says first, each whole."""
    return [" ".join(line.split()) for line in text.split("\n\n")[1].split("\n- ")]


def test_the_page_of_accuracy_begins_with_the_best_of_those_that_never_saw_the_rows() -> None:
    outcomes = np.array([0, 1, 1, 0], dtype=np.int8)
    rows = [
        Row(name, judge(np.array([np.where(outcomes == 1, 1 - doubt, doubt)]), outcomes), 0.5, 10)
        for name, doubt in (("pima", 0.2), (HONEST, 0.4), (AS_WRITTEN, 0.1), ("a peer", 0.3))
    ]
    took = {"seconds": 12.0, "processor_seconds": 1.0, "peak_megabytes": 1339.0, "fit_seconds": 1.0}
    large = Large("SQLite", 1, 700, dict.fromkeys((*BOOSTING, "our fit", "retrain"), took))
    found = Results(10, 2, rows, rows, FitSpeed(1.0, 5.0), 1_000_000, [large], {}, {})
    first, _, third, targets, _ = _begins(
        report.page(found, RAN, [Candidate("pima", "as it is", lambda *_: None)])
    )
    assert "a log loss of 0.2231" in first
    assert first.endswith("0.3567 (a peer).")
    assert "5.0 times" in third
    assert "takes 12 s and 1,339 MB" in third
    assert targets.startswith("12 of 13")


def test_the_page_of_tables_begins_with_where_pima_stands() -> None:
    sets = data_sets()
    answers = [
        Answer(
            Trial(data.name, who, 0), np.where(data.rows.outcomes == 1, 0.8 - place / 20, 0.3), 1.0
        )
        for data in sets
        for place, who in enumerate(CANDIDATES)
    ]
    asked, stands, *_ = _begins(page_of_tables.page(Standings(sets, 1, answers), RAN))
    assert f"on {len(sets)} clinical data sets" in asked
    assert f"the lowest log loss on {len(sets)}" in stands


def test_the_page_of_the_gate_begins_with_the_default_policy() -> None:
    found = {
        scenario.name: {
            policy.letter: Summary(
                policy, *(np.array([place, place + 1.0]) for _ in range(4)), 0.5, 30.0, np.ones(2)
            )
            for place, policy in enumerate(scenario.policies)
        }
        for scenario in SCENARIOS
    }
    first, *_ = _begins(page.page(page.Findings(2, [], [], found)))
    assert "the default gate (f) promotes 6.5 challengers, 6.5 of them truly worse" in first


def _measured(page: str) -> dict[str, float]:
    parts = json.loads((FOLDER / f"{page}.json").read_text()).values()
    lines = (line for part in parts for line in (part.values() if isinstance(part, dict) else part))
    return {line["what"]: line["measured"] for line in lines}


_INSERT = "2,500 INSERTs of a row each, PostgreSQL: patients / the same table without triggers"
_COPY = "COPY of 200,000 rows, PostgreSQL: patients / the same table without triggers"
_PULL = "pull of 1,000,000 rows of which 1,000 have changed, PostgreSQL"
_FIRST_PULL = "first pull of 1,000,000 rows, PostgreSQL"
_NIGHT = "1,000,000 rows, PostgreSQL: ours, seconds"


@pytest.mark.parametrize(
    ("page", "said", "measured", "figure"),
    [
        ("README.md", "takes [{:.1f} s on PostgreSQL]", "speed", _NIGHT),
        (
            "README.md",
            "{:.0f} MB for a `pull`",
            "speed",
            f"{_FIRST_PULL}: peak memory of jobs.pull, MB",
        ),
        ("docs/understand/decisions.md", "a COPY takes {:.1f} times", "speed", _COPY),
        ("docs/understand/decisions.md", "of one row {:.1f} times", "speed", _INSERT),
        (
            "docs/understand/decisions.md",
            "takes {:.2f} s in all",
            "speed",
            "jobs.score on an empty queue, PostgreSQL, seconds",
        ),
        (
            "docs/understand/decisions.md",
            "takes {:.1f} s for a thousand",
            "speed",
            f"{_PULL}, seconds",
        ),
        # Two machines: a reader meets both.
        ("docs/measured/scale.md", "{:.1f} s on the machine of [speed]", "speed", _NIGHT),
        (
            "docs/measured/scale.md",
            "takes {:.1f} s here",
            "scale",
            "1,000,000 rows, PostgreSQL: jobs.score, seconds",
        ),
    ],
)
def test_other_pages_have_the_measured_figures(
    page: str, said: str, measured: str, figure: str
) -> None:
    text = " ".join((ROOT / page).read_text().split())
    assert said.format(_measured(measured)[figure]) in text
