"""The first paragraph of a card: what a version predicts, for whom, when it was right, whom it
missed, and what is open."""

from collections.abc import Iterator, Mapping

from pima.core.outcomes.realised import FEW_EVENTS
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.estimates import Estimate
from pima.logs import counted
from pima.report.clinician import within
from pima.report.standards import open_alarms, standing_of_service
from pima.report.version_facts import VersionFacts


def in_short(facts: VersionFacts, questions: int) -> str:
    """Say it in a few sentences, and how many questions for people are open."""
    is_open = [f"{counted(questions, 'question')} for people (at the end).", open_alarms(facts)]
    if facts.champion:
        is_open.append(standing_of_service(facts))
    learned = counted(facts.data.training_rows, "row")
    return " ".join(
        (
            f"It predicts {facts.outcome}{within(facts.declared)}.",
            f"It is for patients like the {learned} that it learned from.",
            *_right(facts),
            *_missed_most(facts),
            "Open:",
            *is_open,
        )
    )


def _right(facts: VersionFacts) -> Iterator[str]:
    figures, rows = _best_known(facts)
    found = figures.get("sensitivity", Estimate(None)).value
    if found is None:
        yield "How often it is right is not known yet."
        return
    right = round(100 * found)
    told = f"Of 100 patients with outcome 1 it named {right} and missed {100 - right}"
    others = figures.get("specificity", Estimate(None)).value
    if others is not None:
        told += f"; of 100 with outcome 0 it left {100 * others:.0f} alone"
    yield f"{told} ({rows})."


def _best_known(facts: VersionFacts) -> tuple[Mapping[str, Estimate], str]:
    """What came true, or else the figures of its verdict; and of which rows."""
    found = facts.standing
    whose = "predictions"
    if facts.champion and facts.as_served is not None:
        found = facts.as_served.every
        whose = "predictions of all versions"
    if found is not None and found.outcomes >= FEWEST_ROWS:
        return found.figures, f"what came true of {found.outcomes:,} {whose}"
    if facts.evidence is None:
        return {}, ""
    figures = {each.name: each.figure for each in facts.evidence.figures}
    return figures, counted(facts.evidence.rows, "held-out row")


def _missed_most(facts: VersionFacts) -> Iterator[str]:
    if facts.evidence is None:
        return
    by_group = [
        (each.figure.value, f"{group.feature}: {group.group}")
        for group in facts.evidence.subgroups
        if not group.few and (group.positive or 0) >= FEW_EVENTS
        for each in group.figures
        if each.name == "sensitivity" and each.figure.value is not None
    ]
    if by_group:
        lowest, name = min(by_group)
        yield (
            f"Among subgroups of its verdict it missed most in {name}, where it named "
            f"{100 * lowest:.0f} of 100; by luck alone one of them is always last."
        )
