"""A model card from facts: what follows from them, and how it reads; and the page that counts what
eight lists ask of it."""

import re
from collections import Counter
from dataclasses import asdict, replace
from datetime import UTC, date, datetime
from html import escape
from itertools import pairwise

import pytest
from markdown_it import MarkdownIt

from pima.core.declared.features import Feature, Outcome
from pima.core.outcomes.realised import ON_TOP, CameTrue
from pima.core.rows.hindsight import Corrections
from pima.core.statistics.estimates import Estimate
from pima.report.card import as_markdown, card
from pima.report.version_facts import (
    ComparedFigure,
    Data,
    OwnVerdict,
    Subgroup,
    VersionEvidence,
    VersionFacts,
    changes_between,
    input_of,
)
from pima.settings.sections import GateSettings
from pima.store.models.registry import VersionSummary, as_stored
from pima.watch.by_group import ByGroup
from pima.watch.overview import ChampionState, Overview, SettledCounts, SourceState
from pima.watch.realised import AsServed
from tests.support.shipped import FEATURES, ROOT

SLOPE = ComparedFigure("calibration slope", Estimate(0.6, 0.4, 0.9), Estimate(1.0, 0.8, 1.2))
SMALL = ("area under ROC", "sensitivity", "specificity")
FEW = Subgroup(
    "age",
    "under 30",
    20,
    4,
    True,
    (*(ComparedFigure(name, Estimate(0.75), None) for name in SMALL), SLOPE),
)
HIDDEN = Subgroup("age", "30 and over", None, None, None, ())
EVIDENCE = VersionEvidence(
    200,
    70,
    (ComparedFigure("area under ROC", Estimate(0.8123, 0.75, 0.86), None), SLOPE),
    (),
    (FEW, HIDDEN),
)
STANDS = CameTrue(120, 8, dict.fromkeys(ON_TOP, Estimate(0.714, 0.6, 0.8)), 8)
SERVICE = Overview(
    **dict.fromkeys(Overview.__dataclass_fields__)
    | {
        "alarms": ("calibration",),
        "beside_scores": (),
        "champion": ChampionState(2, True, None, None, None, None, ()),
        "realised": SettledCounts(120, 90, 0.75, False, 0, None, 0, 0, 0),
        "sources": (SourceState("clinic", None, None, ()),),
    }
)
FACTS = VersionFacts(
    version=2,
    as_of=datetime(2026, 2, 1, tzinfo=UTC),
    champion=True,
    trained_at=datetime(2026, 1, 31, tzinfo=UTC),
    outcome="diabetes",
    declared=Outcome("diabetic", "diabetes", "30 days", "2 days"),
    service=SERVICE,
    gate=GateSettings(window="all"),
    threshold=0.31,
    threshold_rule="sensitivity >= 0.85",
    network="five_seeds",
    seed=7,
    libraries={"keras": "3.15"},
    compiled_sha256="abc",
    inputs=tuple(map(input_of, FEATURES)),
    data=Data(
        training_rows=500,
        holdout_rows=200,
        first_outcome=date(2025, 1, 2),
        last_outcome=date(2026, 1, 30),
        holdout_share=0.3,
        left_out={"out_of_range": 3},
        twins_kept=0,
        persons={"rows": 300, "persons": 200},
        corrected=asdict(Corrections(zeros=1, of_zeros=300, ones=2, of_ones=80)),
    ),
    judged=OwnVerdict(
        datetime(2026, 1, 31, tzinfo=UTC), "promoted", "more_correct", "promoted: because.", 1
    ),
    evidence=EVIDENCE,
    standing=STANDS,
    changes=("training rows: 400 -> 500",),
    people=(("rows", "500", "200", "not counted"), ("sex", "a <b> 60 %", "a <b> 55 %", "-")),
)


def test_both_standards_are_named_whole_and_each_item_is_answered_or_asked() -> None:
    made = card(FACTS)
    of_hti = [each.code for each in made.hti_1]
    assert (len(of_hti), len(set(of_hti)), of_hti[0], of_hti[-1]) == (31, 31, "1(i)", "9(ii)")
    of_tripod = [each.code for each in made.tripod_ai]
    assert (len(of_tripod), len(set(of_tripod))) == (52, 52)
    assert {int(code.rstrip("abcdefg")) for code in of_tripod} == set(range(1, 28))
    # An answer whose number is no item's would be told nowhere.
    answered = [sum(each.answer is not None for each in s) for s in (made.hti_1, made.tripod_ai)]
    assert answered == [17, 33]
    told = as_markdown(made)
    for item in (*made.hti_1, *made.tripod_ai):
        assert f"| {item.code} | {item.asks} |" in told
    questions = told.partition("## Questions for people")[2].partition("## Words")[0]
    asked = [f"- HTI-1 {each.code}: {each.asks}" for each in made.hti_1 if each.answer is None]
    asked += [
        f"- TRIPOD+AI {each.code}: {each.asks}" for each in made.tripod_ai if each.answer is None
    ]
    assert [line for line in questions.splitlines() if line][1:] == asked
    assert {"1(i)", "2(i)", "7(v)"} <= {each.code for each in made.hti_1 if each.answer is None}


def test_what_software_knows_is_said_in_words_with_intervals() -> None:
    answers = {each.code: each.answer for each in card(FACTS).hti_1} | {
        e.code: e.answer for e in card(FACTS).tripod_ai
    }
    assert answers["1(iii)"] == (
        "The probability of outcome 1 (diabetes), between 0 and 1, and a class, which is 1 from "
        "0.31 on."
    )
    assert answers["7(i)"] == (
        "On 200 held-out rows, 70 with outcome 1, 95 % intervals: area under ROC 0.812 (0.750 to "
        "0.860); calibration slope 0.600 (0.400 to 0.900)."
    )
    assert answers["4(i)"] == "Labelled rows that no rule rejects. Left out: 3 rows out of range."
    assert "from 2025-01-02 to 2026-01-30" in str(answers["5b"])
    assert "30 % of the rows are held out." in str(answers["12a"])
    assert "chosen out of fold to reach sensitivity >= 0.85" in str(answers["15"])
    assert answers["24"] == "promoted: because."


def test_horizon_visits_sources_and_alarms_are_told_as_they_were_declared() -> None:
    made = card(FACTS)
    answers = {each.code: str(each.answer) for each in (*made.hti_1, *made.tripod_ai)}
    for code, part in {
        "8a": "It is waited for 30 days, from the moment `index_at` of the row on",
        "9b": "the last prediction before 2 days after `index_at` were over (`predicted_within`)",
        "6b": "300 name a person: 200 persons, 1.5 rows (visits) a person",
        "5a": "Rows come from the declared sources clinic.",
        "8(i)": "Open alarms of the service: calibration.",
        "8(ii)": "Of its predictions here 120 have a settled outcome, 8 of them outcome 1",
        "9(i)": "all settled outcomes",
        "10": "All rows with a settled outcome",
        "14": "`gate.subgroup_margin` is off",
    }.items():
        assert part in answers[code], code
    alone = replace(FACTS, data=replace(FACTS.data, persons=None), declared=Outcome("diabetic"))
    answers = {each.code: str(each.answer) for each in card(alone).tripod_ai}
    assert "No horizon is declared" in answers["8a"]
    assert "before the outcome came" in answers["9b"]
    assert "No training row names a person" in answers["6b"]


def test_it_begins_with_what_a_clinician_needs_and_then_says_all_in_short() -> None:
    told = " ".join(as_markdown(card(FACTS)).partition("## Limits")[0].split())
    for part in (
        "how likely this is: diabetes within 30 days.",
        "This clinic acts from 0.31 on, which was chosen to reach sensitivity >= 0.85.",
        "A person decides",
        "It is for patients like the 500 rows that it learned from.",
        "Of 100 patients with outcome 1 it named 71 and missed 29 (what came true of 120",
        "Open alarms of the service: calibration. A person has pinned the model in use",
    ):
        assert part in told, part
    fixed = as_markdown(card(replace(FACTS, threshold_rule="0.31")))
    assert "This clinic acts from 0.31 on.\n" in fixed
    usual = as_markdown(card(replace(FACTS, threshold=0.5, threshold_rule="0.5")))
    assert "Nobody here has chosen from where on to act" in usual
    unknown = as_markdown(card(replace(FACTS, standing=None, evidence=None)))
    assert "How often it is right is not known yet." in unknown
    many = replace(FEW, rows=90, few=False, positive=40)
    of_verdict = replace(FACTS, evidence=replace(EVIDENCE, subgroups=(many, FEW)), standing=None)
    assert "it missed most in age: under 30, where it named 75 of 100" in as_markdown(
        card(of_verdict)
    )


def test_of_a_network_of_one_s_own_it_says_who_built_it() -> None:
    made = card(replace(FACTS, network="clinic_net.py"))
    assert "the text of that file, which builds it. Seed" in as_markdown(made)
    assert "model-and-gate" not in as_markdown(made)


def test_what_came_true_stands_there_and_few_events_are_marked() -> None:
    told = " ".join(as_markdown(card(FACTS)).split())
    assert "Of its own predictions 120 have a settled outcome, 8 of them outcome 1. These" in told
    meaning = "the model gave the higher probability to the first in 71 of 100 pairs"
    assert (
        f"| area under ROC | 0.714 (0.600 to 0.800): of two patients, one who fell ill and one who did not, {meaning} |"
        in told
    )
    assert "| observed / expected | 0.714 (0.600 to 0.800) |" in told
    enough = as_markdown(card(replace(FACTS, standing=replace(STANDS, positive=10, events=10))))
    assert "These are few" not in enough
    unknown = as_markdown(card(replace(FACTS, standing=None)))
    few = "predictions fewer than 10 have a settled outcome that counts."
    assert f"Of its own {few}" in unknown
    lately = replace(STANDS, figures=dict.fromkeys(ON_TOP, Estimate(0.9, 0.8, 1.0)))
    served = AsServed(date(2026, 1, 5), date(2026, 7, 6), replace(STANDS, outcomes=900), lately, ())
    both = as_markdown(
        card(replace(FACTS, service=replace(SERVICE, standing=served), standing=None))
    )
    assert "Of all predictions, by any version, 900 have a settled outcome" in both
    assert "0.714 (0.600 to 0.800); the last 8 weeks 0.900 (0.800 to 1.000)" in both
    assert "(what came true of 900 predictions of all versions)" in both


def test_limits_follow_from_the_figures() -> None:
    told = " ".join(card(FACTS).limits)
    for part in (
        "rest on 70 rows",
        "too extreme",
        "having few rows: age under 30",
        "1 subgroup may not be shown",
    ):
        assert part in told
    sound = replace(
        EVIDENCE,
        positive=400,
        figures=(replace(SLOPE, figure=Estimate(0.9, 0.7, 1.1)),),
        subgroups=(),
    )
    assert len(card(replace(FACTS, evidence=sound)).limits) == 4
    assert "nothing is known of its subgroups" in card(replace(FACTS, evidence=None)).limits[-1]


@pytest.mark.parametrize(
    "facts", [FACTS, replace(FACTS, evidence=None, judged=None, changes=())], ids=["all", "little"]
)
def test_each_table_is_one(facts: VersionFacts) -> None:
    lines = as_markdown(card(facts)).splitlines()
    for before, line in pairwise(lines):
        if before.startswith("|") and line.startswith("|"):
            assert before.count("|") - before.count("\\|") == line.count("|") - line.count("\\|"), (
                line
            )
    assert [
        line for line in lines if "None" in line.split() and not line.startswith(("|", "None are"))
    ] == []


def test_a_subgroup_that_may_not_be_shown_has_dashes_and_one_of_few_rows_is_marked() -> None:
    told = as_markdown(card(FACTS))
    assert "| age: under 30 | 20 (few) | 4 | 0.75 | 0.75 | 0.75 | 0.60 (0.40 to 0.90) |" in told
    assert "| age: 30 and over | - | - | - | - | - | - |" in told


def test_a_declaration_cannot_break_a_table() -> None:
    odd = input_of(
        Feature(name="sex", kind="category", codes={0: "a|b", 1: "c"}, rationale="two\nlines")
    )
    assert "| sex | 0 a\\|b, 1 c | must be there | two lines |" in as_markdown(
        card(replace(FACTS, inputs=(odd,)))
    )


def test_a_clinic_s_own_words_are_no_markup() -> None:
    words = "<b>so</b> &lt; a \\| b *at* __once__ `now` [here](there) ~~no~~ out_of_range"
    odd = input_of(
        Feature(name="sex", kind="category", codes={0: words, 1: "under <5"}, rationale=words)
    )
    evidence = replace(EVIDENCE, subgroups=(replace(FEW, group=words),))
    group = ByGroup(words, ({words: 20}, {}, {}), {}, (f"Doubts of {words}",))
    page = MarkdownIt("gfm-like", {"linkify": False}).render(
        as_markdown(
            card(replace(FACTS, outcome=words, inputs=(odd,), evidence=evidence, groups=(group,)))
        )
    )
    shown = escape(words, quote=False)
    for place in (
        f"outcome 1 ({shown})",
        f"<td>0 {shown}, 1 under &lt;5</td>",
        f"<td>{shown}</td>",
        f"age: {shown}<",
        f"under their own heading: {shown}.",
        f"Doubts of {shown}",
        f"<td>{shown}: {shown}</td>",
    ):
        assert place in page, place


def test_a_count_has_no_unit() -> None:
    assert input_of(Feature(name="visits", unit="count", low=0, high=9)).values == "0 to 9"


def test_changes_are_told_one_by_one() -> None:
    nothing = VersionSummary(**dict.fromkeys(VersionSummary.__dataclass_fields__))
    then = {"features": as_stored(FEATURES[1:3]), "training_rows": 400, "threshold": 0.5}
    before = replace(
        nothing, **then, settings={"network": "article", "seeds": 1}, libraries={"keras": "3.15"}
    )
    raised = Feature(
        **(
            {name: getattr(FEATURES[1], name) for name in Feature.__struct_fields__}
            | {"high": 700.0}
        )
    )
    known = {
        "last_labelled_at": datetime(2026, 1, 30, 12, tzinfo=UTC),
        "settings": {"network": "five_seeds", "network_text": "a file, which would be long"},
    }
    now = replace(before, features=as_stored((FEATURES[0], raised)), training_rows=500, **known)
    assert changes_between(now, before) == [
        "a new input: pregnancies",
        "no longer an input: blood_pressure",
        "declared otherwise: glucose (high)",
        "training rows: 400 -> 500",
        "last outcome: None -> 2026-01-30",
        "settings, network: article -> five_seeds",
        "settings, seeds: 1 -> none",
    ]
    assert changes_between(before, before) == []


EXAM = (ROOT / "docs" / "measured" / "exam.md").read_text()
STATES = ("met", "part", "not", "people")


def counted_exam() -> dict[str, dict[str, str]]:
    """By list, each item with its state: those in the table, then those for people."""
    _, *parts = re.split(r"^## ", EXAM.partition("## How it was counted")[2], flags=re.MULTILINE)
    found = {}
    for part in parts:
        rows = re.findall(
            r"^\| (?!item )([^|]+) \| [^|]+ \|(?: \*\*(\w+)\*\*)?", part, re.MULTILINE
        )
        (listed,) = re.findall(r"^\*\*For people\*\*: (.+?)\.$", part, re.M | re.DOTALL) or [""]
        people = re.findall(r"(?:^|; )([^A-Z;]+) [A-Z]", " ".join(listed.split()))
        found[part.splitlines()[0]] = {
            code: state or "met" for code, state in rows
        } | dict.fromkeys(people, "people")
    return found


def test_the_sums_are_those_of_the_tables() -> None:
    lists = counted_exam()
    every: Counter[str] = Counter()
    for name, items in lists.items():
        states = Counter(items.values())
        assert set(states) <= set(STATES)
        told = " | ".join(str(states[each]) for each in STATES)
        assert f"| {name} | {len(items)} | {told} |" in EXAM
        every += states
    told = " | ".join(str(every[each]) for each in STATES)
    assert f"| all | {every.total()} | {told} |" in EXAM
    software = every.total() - every["people"]
    assert (
        f"Of the {software} that software can touch, {100 * every['met'] / software:.0f} %" in EXAM
    )


def test_what_the_card_leaves_to_people_is_for_people_and_nothing_else() -> None:
    lists = counted_exam()
    made = card(FACTS)
    for name, _, items in made.standards:
        answered = [each.code for each in items if each.answer is not None]
        of_people = [each.code for each in items if each.answer is None]
        assert list(lists[name]) == answered + of_people
        assert [code for code, state in lists[name].items() if state == "people"] == of_people
