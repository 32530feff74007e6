"""The questions of two standards about a model, with answers in sentences if software can know
them.

HTI-1: the source attributes of a predictive decision support intervention, by a US rule. TRIPOD+AI:
what a paper about a model reports. `standards.toml`, beside this file, has the questions.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from pima.core.declared.features import Outcome
from pima.core.outcomes.horizon import horizon_of
from pima.core.outcomes.realised import told_figures
from pima.core.rows import hindsight
from pima.core.verdicts.figures import FEWEST_ROWS, in_words
from pima.logs import counted
from pima.model.recipes import is_file
from pima.report.version_facts import Data, VersionEvidence, VersionFacts

_STANDARDS = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))

ITEMS = {f"{standard}.{code}" for standard in _STANDARDS for code, _ in _STANDARDS[standard]}
"""The items of both by their names, as `hti_1.2(i)`."""

_MONITORED = (
    "Each settled outcome is compared with the prediction that was made before it; alarms ring "
    "where outcomes no longer fit, and reach people. Each retraining judges the version in use "
    "again, on held-out rows settled lately."
)
_UPDATED = (
    "Each scheduled retraining (weekly, unless configured otherwise) fits a challenger on all "
    "settled outcomes. It is put to use only if it is strictly better than the version in use on "
    "the same held-out rows"
)
_TAKEN_BACK = (
    "At any time a person can go back to the version before (`models rollback`), stop the model "
    "(`models suspend`) or hold it (`models pin`)"
)
_MISSING = (
    "A missing number counts as the mean of the training rows, a missing category as none of its "
    "codes; which inputs may be missing is under Inputs. A row that lacks another, or has a value "
    "out of its range, is rejected with the reason and gets no prediction."
)


_WHO = (
    "Under Who these people are, each input stands for the training rows, the test set and the "
    "last four weeks, with how many lack it; whether they are like those it is meant for, people "
    "judge."
)


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


def _items(
    standard: str, answers: Mapping[str, str | None], people: Mapping[str, str]
) -> Iterator[Item]:
    """All items of a standard, with the answers by their numbers, and those of people by their
    names."""
    for code, asks in _STANDARDS[standard]:
        yield Item(code, asks, answers.get(code), people.get(f"{standard}.{code}"))


def hti_1(facts: VersionFacts, people: Mapping[str, str]) -> tuple[Item, ...]:
    """Answer the source attributes of HTI-1, if software can know the answer."""
    told = performance(facts.evidence)
    of_subgroups = by_subgroup(facts.evidence)
    answers = {
        "1(iii)": output(facts),
        "1(iv)": "A prediction (a probability), and the classification that follows from it.",
        "3(i)": (
            "Patients whose values lie outside the ranges under Inputs: they are rejected, not "
            "scored."
        ),
        "3(ii)": " ".join(limits(facts)),
        "4(i)": left_out(facts.data),
        "4(ii)": f"{inputs(facts)} No other column is seen by the model. {groups(facts)}",
        "4(iii)": f"{_WHO} {groups(facts)}",
        "5(i)": fairness(facts),
        "6(i)": "None that pima knows of: all figures are on held-out rows of the same database.",
        "7(i)": told,
        "7(ii)": of_subgroups or f"No subgroup of the test set may be shown. {groups(facts)}",
        "8(i)": f"{_MONITORED} {open_alarms(facts)}",
        "8(ii)": came_true_in_words(facts),
        "8(iii)": (
            "With each retraining, on the held-out rows of each subgroup and declared group; and "
            "in each declared group whenever a report or card is made, by what came true. "
            f"{fairness(facts)}"
        ),
        "8(iv)": came_true_by_group(facts),
        "9(i)": f"{_UPDATED}: {facts.today.gate}. {_TAKEN_BACK}.",
        "9(ii)": (
            f"With the next scheduled retraining; an alarm is told the night it rings. "
            f"{_TAKEN_BACK}; how soon people do so is theirs to say. {standing_of_service(facts)}"
        ),
    }
    return tuple(_items("hti_1", answers, people))


def tripod_ai(facts: VersionFacts, people: Mapping[str, str]) -> tuple[Item, ...]:
    """Answer the items of TRIPOD+AI, if software can know the answer."""
    data = facts.data
    evidence = facts.evidence
    told = (
        "`docs/understand/model-and-gate.md` tells how it is built and fitted, and how that was "
        "chosen"
    )
    if is_file(facts.network):
        told = "the version keeps the text of that file, which builds it"
    participants = sizes(data)
    if evidence:
        participants += (
            f" Of those it was judged on, {evidence.positive} of {evidence.rows} have outcome 1."
        )
    verdict = None
    if facts.judged is not None:
        verdict = facts.judged.explanation
    answers = {
        "1": f"Version {facts.version}: a neural network that predicts {facts.outcome}.",
        "4": "Both: each version is fitted, then judged, in one run.",
        "5a": f"{sources(facts)} {_WHO}",
        "5b": dates(data),
        "6b": f"{left_out(data)} {visits(data)}",
        "7": (
            "Ranges and codes are checked by the same rules in training and in service. Nothing is "
            "converted. Rows that were corrected after their prediction have the values that it "
            f"was made from: {hindsight.corrections_in_words(data.corrected)}."
        ),
        "8a": f"Outcome 1 means: {facts.outcome}. {awaited(facts.declared)}",
        "9b": f"{inputs(facts)} {measured(facts.declared)}",
        "10": f"All rows with a settled outcome: {sizes(data)}",
        "11": f"{_MISSING} {_WHO}",
        "12a": sides(data),
        "12b": "Scaled by the training rows; powers as declared or as the fit chose.",
        "12c": (
            f"A neural network of the recipe `{facts.network}`; {told}. Seed {facts.seed}, derived "
            "from the data."
        ),
        "12d": f"{groups(facts)} {visits(data)} {came_true_by_group(facts)}",
        "12e": (
            "AUROC, log loss, Brier score, calibration intercept and slope, sensitivity, "
            "specificity, predictive values and net benefit over thresholds, with 95 % intervals, "
            "for both models on the same held-out rows, in all and by subgroup."
        ),
        "12f": f"{_UPDATED}: {facts.today.gate}.",
        "12g": "By the compiled form that scores.",
        "13": "None: rows have no weights, so probabilities need no correction.",
        "14": fairness(facts),
        "15": f"{output(facts)} {threshold(facts)}",
        "16": f"{sides(data)} {_WHO}",
        "18f": (
            f"pima's source (Apache-2.0); `models reproduce {facts.version}` fits it again, while "
            "its rows are kept."
        ),
        "20a": f"{sizes(data)} {left_out(data)}",
        "20b": _WHO,
        "20c": _WHO,
        "21": participants,
        "22": (
            f"`models export {facts.version} PATH.keras`; sha256 of its compiled form: "
            f"{facts.compiled_sha256}."
        ),
        "23a": performance(evidence),
        "23b": f"{groups(facts)} {came_true_by_group(facts)}",
        "24": verdict,
        "26": " ".join(limits(facts)),
        "27a": _MISSING,
        "27c": f"None is planned by software. {_MONITORED}",
    }
    return tuple(_items("tripod_ai", answers, people))


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


def awaited(outcome: Outcome) -> str:
    """Say how long the outcome is waited for, and when it counts."""
    if outcome.horizon is None:
        return "No horizon is declared: it counts as soon as it is known, whenever that is."
    return (
        f"It is waited for {outcome.horizon}, from the moment `index_at` of the row on, and counts "
        "once they are over, whether it came early or not at all."
    )


def measured(outcome: Outcome) -> str:
    """Say as of when the inputs count."""
    until = "the outcome came"
    horizon = horizon_of(outcome)
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


def visits(data: Data) -> str:
    """Say how many visits a person has among the training rows."""
    if data.persons is None:
        return "No training row names a person, so nobody knows who is there twice."
    rows, persons = data.persons["rows"], data.persons["persons"]
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


def came_true_in_words(facts: VersionFacts) -> str:
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
        f"{doubts or 'none'} of them the probabilities are clearly wrong though not over all."
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


def dates(data: Data) -> str | None:
    """Describe the dates of the outcomes."""
    if data.first_outcome is None or data.last_outcome is None:
        return None
    return (
        f"Outcomes that became known from {data.first_outcome} to {data.last_outcome}, those of "
        "held-out rows included."
    )


def sizes(data: Data) -> str:
    """Describe the number of rows on both sides."""
    return (
        f"{counted(data.training_rows, 'row')} to learn from, {counted(data.holdout_rows, 'row')} "
        "held out."
    )


def sides(data: Data) -> str:
    """Describe how rows are held out."""
    share = f" {100 * data.holdout_share:g} % of the rows are held out."
    twins = ""
    if not data.twins_kept:
        twins = ", nor from a row with exactly the features of one, unless both have a person"
    decides = (
        "A salted hash of the person, the source's key or the id decides once and for all who is "
        "held out"
    )
    return f"{decides}; no version learns from those{twins}.{share}"


def left_out(data: Data) -> str:
    """Describe which rows were left out."""
    found = ", ".join(
        f"{counted(rows, 'row')} {reason.replace('_', ' ')}"
        for reason, rows in data.left_out.items()
    )
    twins = ""
    if data.twins_kept:
        twins = f" {counted(data.twins_kept, 'twin')} of held-out rows stayed in."
    return f"Labelled rows that no rule rejects. Left out: {found or 'none'}.{twins}"


def performance(found: VersionEvidence | None) -> str | None:
    """List the figures that matter most."""
    if found is None:
        return None
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


def by_subgroup(found: VersionEvidence | None) -> str | None:
    """Point to the figures by subgroup, and say what they don't show."""
    shown = 0 if found is None else sum(each.rows is not None for each in found.subgroups)
    if not shown:
        return None
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
        "Its figures get worse where those predicted 1 were treated, which pima can't know.",
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
