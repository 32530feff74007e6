"""The questions of two standards about a model, with answers in sentences if software can know
them.

HTI-1: the source attributes of a predictive decision support intervention, by a US rule. TRIPOD+AI:
what a paper about a model reports. `standards.toml`, beside this file, has the questions, and the
answers with places for the sentences of this file.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pima.core.outcomes.horizon import horizon_of
from pima.core.outcomes.realised import told_figures
from pima.core.rows import hindsight
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.estimates import in_words
from pima.logs import counted
from pima.model.recipes import is_file
from pima.report.version_facts import VersionFacts

_STANDARDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_SAID = _STANDARDS.pop("said")

ITEMS = {f"{standard}.{code}" for standard in _STANDARDS for code, *_ in _STANDARDS[standard]}
"""The items of both by their names, as `hti_1.2(i)`."""


@dataclass(frozen=True, slots=True)
class Item:
    """An item that a standard asks for."""

    code: str
    """Its number in the standard."""
    asks: str
    answer: str | None
    """The answer; None if software can't know it, so that people must answer."""
    people: str | None
    """What people have answered; None if they have not."""

    @property
    def told(self) -> str:
        """Both answers; empty if there is none."""
        return " ".join(filter(None, (self.answer, self.people)))


def items_of(standard: str, facts: VersionFacts, people: Mapping[str, str]) -> tuple[Item, ...]:
    """Answer the items of a standard, if software can know the answer, and with what people have
    answered, by the names of items."""
    sentences = {each.__name__: each(facts) for each in _SENTENCES}
    return tuple(
        Item(
            code,
            asks,
            "".join(answer).format(facts=facts, **_SAID, **sentences) or None,
            people.get(f"{standard}.{code}"),
        )
        for code, asks, *answer in _STANDARDS[standard]
    )


def output(facts: VersionFacts) -> str:
    """Describe the output for a row."""
    at = f"a class, which is 1 from {facts.threshold:g} on"
    return f"The probability of outcome 1 ({facts.outcome}), between 0 and 1, and {at}."


def threshold(facts: VersionFacts) -> str:
    """Describe the threshold and how it was set."""
    if facts.threshold_rule == f"{facts.threshold:g}":
        return (
            f"Class 1 from a probability of {facts.threshold:g} on, as configured "
            "(`retrain.threshold`)."
        )
    return (
        f"Class 1 from a probability of {facts.threshold:g} on, chosen out of fold to reach "
        f"{facts.threshold_rule}."
    )


def inputs(facts: VersionFacts) -> str:
    """List the names of the inputs."""
    names = ", ".join(each.name for each in facts.inputs)
    return (
        f"{counted(len(facts.inputs), 'input')}: {names}; their ranges, units and reasons are "
        "under Inputs."
    )


def awaited(facts: VersionFacts) -> str:
    """Say how long the outcome is waited for, and when it counts."""
    horizon = facts.declared.horizon
    if horizon is None:
        return "No horizon is declared: it counts as soon as it is known, whenever that is."
    return (
        f"It is waited for {horizon}, from the moment `index_at` of the row on, and counts "
        "once they are over, whether it came early or not at all."
    )


def measured(facts: VersionFacts) -> str:
    """Say as of when the inputs count."""
    until = "the outcome came"
    horizon = horizon_of(facts.declared)
    if horizon is not None:
        days = horizon.predicted_within_ms / timedelta(days=1).total_seconds() / 1000
        until = f"{days:g} days after `index_at` were over (`predicted_within`)"
    return (
        f"They count as they stood at the last prediction before {until}; when and how each was "
        "measured is for people to say."
    )


def sources(facts: VersionFacts) -> str:
    """Say where rows come from, as far as it is declared."""
    if not facts.today.sources:
        return "Rows come from files, or from the clinic's own software: no source is declared."
    return f"Rows come from the declared sources {', '.join(facts.today.sources)}."


def visits(facts: VersionFacts) -> str:
    """Say how many visits a person has among the training rows."""
    found = facts.data.persons
    if found is None:
        return "No training row names a person, so nobody knows who is there twice."
    rows, persons = found["rows"], found["persons"]
    return (
        f"Of the training rows {rows:,} name a person: {persons:,} persons, {rows / persons:.1f} "
        "rows (visits) a person, all on one side."
    )


def groups(facts: VersionFacts) -> str:
    """Name the declared groups that no model sees."""
    if not facts.groups:
        return "No group that the model doesn't see, such as a sex or a site, is declared."
    names = ", ".join(each.name for each in facts.groups)
    return f"Declared groups that no model sees, under their own heading: {names}."


def fairness(facts: VersionFacts) -> str:
    """Say what guards subgroups and groups."""
    margin = (
        "Nothing blocks a version that is worse in one of them (`gate.subgroup_margin` is off)."
    )
    if facts.today.guards_subgroups:
        margin = f"The gate: {facts.today.gate}."
    return (
        "Every verdict has the figures of each subgroup by the inputs and of each declared group. "
        f"{margin} {groups(facts)}"
    )


def came_true(facts: VersionFacts) -> str:
    """Say what came true of its predictions here."""
    found = facts.standing
    if found is None or found.outcomes < FEWEST_ROWS:
        return (
            f"Not known yet: fewer than {FEWEST_ROWS} of its predictions have a settled outcome "
            "that counts."
        )
    figures = "; ".join(f"{name} {told}" for name, told in told_figures(found, 3))
    return (
        f"Of its predictions here {found.outcomes:,} have a settled outcome, {found.positive} of "
        f"them outcome 1; 95 % intervals: {figures}."
    )


def came_true_by_group(facts: VersionFacts) -> str:
    """Say in how many declared groups it is known what came true, and in how many it is wrong."""
    shown = sum(len(each.came_true) for each in facts.groups)
    if not shown:
        return "What came true is not known by group yet."
    doubts = sum(len(each.doubts) for each in facts.groups)
    return (
        f"What came true stands under Groups that no model sees, for {counted(shown, 'group')}; in "
        f"{doubts or 'none'} of them the probabilities are clearly wrong, and unlike elsewhere."
    )


def open_alarms(facts: VersionFacts) -> str:
    """Name the alarms that ring now."""
    if not facts.today.alarms:
        return "No alarm of the service is open."
    return f"Open alarms of the service: {'; '.join(facts.today.alarms)}."


def standing_of_service(facts: VersionFacts) -> str:
    """Say whether a person has stopped or pinned the champion."""
    if facts.today.suspended_at is not None:
        since = f"{facts.today.suspended_at:%Y-%m-%d %H:%M} UTC"
        return f"A person has suspended the model since {since}: nobody should act on predictions."
    if facts.today.pinned:
        return "A person has pinned the model in use: no retraining replaces it."
    return "Today nobody has stopped or pinned it."


def dates(facts: VersionFacts) -> str:
    """Describe the dates of the outcomes."""
    first, last = facts.data.first_outcome, facts.data.last_outcome
    if first is None or last is None:
        return ""
    return f"Outcomes that became known from {first} to {last}, those of held-out rows included."


def sizes(facts: VersionFacts) -> str:
    """Describe the number of rows on both sides."""
    learned = counted(facts.data.training_rows, "row")
    return f"{learned} to learn from, {counted(facts.data.holdout_rows, 'row')} held out."


def sides(facts: VersionFacts) -> str:
    """Describe how rows are held out."""
    twins = ""
    if not facts.data.twins_kept:
        twins = ", nor from a row with exactly the features of one, unless both have a person"
    return (
        "A salted hash of the person, the source's key or the id decides once and for all who is "
        f"held out; no version learns from those{twins}. "
        f"{100 * facts.data.holdout_share:g} % of the rows are held out."
    )


def left_out(facts: VersionFacts) -> str:
    """Describe which rows were left out."""
    data = facts.data
    found = ", ".join(
        f"{counted(rows, 'row')} {reason.replace('_', ' ')}"
        for reason, rows in data.left_out.items()
    )
    twins = ""
    if data.twins_kept:
        twins = f" {counted(data.twins_kept, 'twin')} of held-out rows stayed in."
    return f"Labelled rows that no rule rejects. Left out: {found or 'none'}.{twins}"


def performance(facts: VersionFacts) -> str:
    """List the figures that matter most."""
    found = facts.evidence
    if found is None:
        return ""
    told = (
        "area under ROC",
        "calibration intercept",
        "calibration slope",
        "Brier score",
        "sensitivity",
        "specificity",
    )
    figures = "; ".join(
        f"{each.name} {in_words(each.figure)}" for each in found.figures if each.name in told
    )
    return (
        f"On {counted(found.rows, 'held-out row')}, {found.positive} with outcome 1, 95 % "
        f"intervals: {figures}."
    )


def by_subgroup(facts: VersionFacts) -> str:
    """Point to the figures by subgroup, and say what they don't show."""
    found = facts.evidence
    shown = 0 if found is None else sum(each.rows is not None for each in found.subgroups)
    if not shown:
        return f"No subgroup of the test set may be shown. {groups(facts)}"
    return (
        f"The same figures for {counted(shown, 'subgroup')} by the inputs' codes and bands, under "
        "Subgroups. Whether they are fair, and whether a group is missing that no input tells of, "
        "is for people to judge."
    )


def limits(facts: VersionFacts) -> tuple[str, ...]:
    """List the known limits of the model."""
    found = [
        (
            "It says how likely an outcome is for patients like those it learned from; not what "
            "causes it, nor what helps."
        ),
        "Rows that lack what must be there, or lie out of range, get no prediction.",
        "It was tested on held-out rows of the same database, and nowhere else that pima knows of.",
        "Its figures get worse if those predicted 1 were treated: pima knows by `acted_at` only.",
    ]
    if facts.evidence is None:
        return (
            *found,
            "No evidence is shown for this version, so nothing is known of its subgroups.",
        )
    if facts.evidence.positive < 100:
        cases = counted(facts.evidence.positive, "row")
        found.append(f"Its figures rest on {cases} with outcome 1: look at the intervals.")
    for each in facts.evidence.figures:
        highest = each.figure.high
        if each.name == "calibration slope" and highest is not None and highest < 1:
            found.append(
                "Its probabilities are too extreme: the calibration slope is below 1 over its "
                "whole interval."
            )
    few = [f"{each.feature} {each.group}" for each in facts.evidence.subgroups if each.few]
    if few:
        found.append(f"Subgroups of which little is known, having few rows: {', '.join(few)}.")
    hidden = sum(each.rows is None for each in facts.evidence.subgroups)
    if hidden:
        found.append(f"{counted(hidden, 'subgroup')} may not be shown, having too few rows.")
    return tuple(found)


def all_limits(facts: VersionFacts) -> str:
    """Tell the limits one after the other."""
    return " ".join(limits(facts))


def corrections(facts: VersionFacts) -> str:
    """Say how many rows were corrected after their prediction."""
    return hindsight.corrections_in_words(facts.data.corrected)


def built(facts: VersionFacts) -> str:
    """Say where the building of the network is told."""
    if is_file(facts.network):
        return "the version keeps the text of that file, which builds it"
    return (
        "`docs/understand/model-and-gate.md` tells how it is built and fitted, and how that was "
        "chosen"
    )


def judged_on(facts: VersionFacts) -> str:
    """Say how many of the rows of the verdict have outcome 1."""
    found = facts.evidence
    if found is None:
        return ""
    return f" Of those it was judged on, {found.positive} of {found.rows} have outcome 1."


def explanation(facts: VersionFacts) -> str:
    """Say how its verdict came about."""
    return facts.judged.explanation if facts.judged else ""


_SENTENCES = (
    all_limits,
    awaited,
    built,
    by_subgroup,
    came_true,
    came_true_by_group,
    corrections,
    dates,
    explanation,
    fairness,
    groups,
    inputs,
    judged_on,
    left_out,
    measured,
    open_alarms,
    output,
    performance,
    sides,
    sizes,
    sources,
    standing_of_service,
    threshold,
    visits,
)
"""What an answer can say, by its name in the file."""
