"""A model card: the facts about a version, with the answers to the questions of two standards.

HTI-1: the source attributes of a predictive decision support intervention, by a US rule. TRIPOD+AI:
what a paper about a model reports. `standards.toml` has their questions, `template/sentences.jinja`
the sentences that answer them, `template/card.md` the card as people read it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from msgspec import structs
from sqlalchemy import Engine

from pima.core.outcomes.horizon import horizon_of
from pima.core.outcomes.realised import FEW_EVENTS, OF_THOSE, told_figures
from pima.core.rows.hindsight import corrections_in_words
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.estimates import Estimate, in_words
from pima.core.verdicts.pairs import sentence_of
from pima.logs import counted
from pima.model.recipes import is_file
from pima.report import who
from pima.report.answers import NO_ANSWERS, OTHERWISE, STANDARDS, Answers
from pima.report.answers import in_words as told_answers
from pima.report.clinician import WORDS, first_sentences, within
from pima.report.version_facts import VersionFacts, read_facts
from pima.runs.recorded_run import INLINED
from pima.settings.sections import Settings
from pima.store.engine import reading
from pima.watch import acted_upon, by_group

_TEMPLATES = Environment(
    loader=PackageLoader("pima.report", "template"),
    autoescape=False,  # noqa: S701 (Markdown: `_plain` escapes the clinic's words)
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    extensions=["jinja2.ext.do"],
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


@dataclass(frozen=True, slots=True)
class Card:
    """A model card."""

    facts: VersionFacts = field(metadata=INLINED)
    limits: tuple[str, ...]
    hti_1: tuple[Item, ...]
    """The source attributes of 45 CFR 170.315(b)(11)(iv)(B)."""
    tripod_ai: tuple[Item, ...]
    """The items of TRIPOD+AI (Collins et al., BMJ 2024)."""

    @property
    def standards(self) -> tuple[tuple[str, str, tuple[Item, ...]], ...]:
        """Each standard: its name for people, its name in the file of answers, its items."""
        return ("HTI-1", "hti_1", self.hti_1), ("TRIPOD+AI", "tripod_ai", self.tripod_ai)


def read_card(
    engine: Engine, number: int, settings: Settings, answers: Answers = NO_ANSWERS
) -> Card:
    """Read the card of a version, with what people have answered. Raises NoSuchVersion."""
    facts = read_facts(engine, number, settings)
    with reading(engine) as connection:
        return card(facts, told_answers(connection, answers, number))


def card(facts: VersionFacts, people: Mapping[str, str] = NO_ANSWERS) -> Card:
    """Make the card that follows from the facts, and from people's answers by item."""
    macros = _macros(facts)
    sentences = {"facts": facts, **_sentences(macros)}
    items = {
        standard: tuple(
            Item(
                code,
                asks,
                _one_line(_TEMPLATES.from_string("".join(answer)).render(sentences)) or None,
                people.get(f"{standard}.{code}"),
            )
            for code, asks, *answer in questions
        )
        for standard, questions in STANDARDS.items()
    }
    return Card(facts, tuple(filter(None, macros.limits().splitlines())), **items)


def _macros(facts: VersionFacts) -> Any:
    """Read the sentences for these facts, each a function of its name."""
    horizon = horizon_of(facts.declared)
    predicted_within_days = None
    if horizon is not None:
        predicted_within_days = (
            horizon.predicted_within_ms / 1000 / timedelta(days=1).total_seconds()
        )
    figures, rows = _best_known(facts)
    return _TEMPLATES.get_template("sentences.jinja").make_module(
        {
            "facts": facts,
            "predicted_within_days": predicted_within_days,
            "is_own_network": is_file(facts.network),
            "best_known": figures,
            "best_known_of": rows,
            "lowest_sensitivity": _lowest_sensitivity(facts),
        }
    )


def _sentences(macros: Any) -> dict[str, str]:
    return {name: _one_line(macro()) for name, macro in vars(macros).items() if name[0] != "_"}


def _best_known(facts: VersionFacts) -> tuple[Mapping[str, Estimate], str]:
    """Choose what came true, or else the figures of the verdict; and say of which rows they are."""
    came_true = facts.standing
    whose = "predictions"
    if facts.champion and facts.service.standing is not None:
        came_true = facts.service.standing.every
        whose = "predictions of all versions"
    if came_true is not None and came_true.outcomes >= FEWEST_ROWS:
        return came_true.figures, f"what came true of {came_true.outcomes:,} {whose}"
    if facts.evidence is None:
        return {}, ""
    figures = {each.name: each.figure for each in facts.evidence.figures}
    return figures, counted(facts.evidence.rows, "held-out row")


def _lowest_sensitivity(facts: VersionFacts) -> tuple[float, str] | None:
    """Find the subgroup with the lowest sensitivity, among those with enough rows."""
    if facts.evidence is None:
        return None
    by_group = [
        (figure.figure.value, f"{group.feature}: {group.group}")
        for group in facts.evidence.subgroups
        if not group.few and (group.positive or 0) >= FEW_EVENTS
        for figure in group.figures
        if figure.name == "sensitivity" and figure.figure.value is not None
    ]
    return min(by_group, default=None)


def left_open(made: Card) -> list[dict[str, str]]:
    """List the items that nobody has answered, or not for a version like this one."""
    return [
        {"item": f"{name}.{item.code}", "asks": item.asks, "answer": item.people or ""}
        for _, name, items in made.standards
        for item in items
        if not item.told or OTHERWISE in (item.people or "")
    ]


def as_markdown(made: Card) -> str:
    """Write the whole card."""
    # The clinic's own words are escaped, so that none of them acts as markup.
    own = ("outcome", "inputs", "judged", "evidence", "people")
    names = (*own, "groups", "in_groups")
    facts = replace(made.facts, **{name: _plain(getattr(made.facts, name)) for name in names})
    beside_scores = _plain(facts.service.beside_scores)
    facts = replace(facts, service=replace(facts.service, beside_scores=beside_scores))
    facts = replace(facts, declared=structs.replace(facts.declared, meaning=facts.outcome))
    people = {
        f"{name}.{item.code}": _plain(item.people)
        for _, name, items in made.standards
        for item in items
        if item.people
    }
    page = _TEMPLATES.get_template("card.md").render(
        facts=facts,
        service=facts.service,
        card=card(facts, people),
        say=_sentences(_macros(facts)),
        first_sentences=first_sentences(facts.declared, facts.threshold, facts.threshold_rule),
        within=within(facts.declared),
        open=len(left_open(made)),
    )
    return re.sub("\n{3,}", "\n\n", page).strip() + "\n"


def _plain(value: Any) -> Any:
    """Escape words, or those of a record."""
    if isinstance(value, str):
        # Bars are escaped in `_row`, since they matter only in tables; an underscore within a word
        # never matters.
        return re.sub(r"[\\`*\[\]<&~$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", value)
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, Mapping):
        return {_plain(name): _plain(part) for name, part in value.items()}
    if names := getattr(value, "__dataclass_fields__", None):
        return replace(value, **{name: _plain(getattr(value, name)) for name in names})
    return value


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(_one_line(cell.replace("|", "\\|")) for cell in cells) + " |"


_TEMPLATES.filters |= {
    "corrected": corrections_in_words,
    "day": "{:%Y-%m-%d}".format,
    "figure": in_words,
    "general": "{:g}".format,
    "row": _row,
    "several": counted,
    "tenths": "{:z.1f}".format,
    "thousands": "{:,}".format,
    "time": "{:%Y-%m-%d %H:%M}".format,
    "whole": "{:.0f}".format,
}
_TEMPLATES.globals |= {
    "acted_upon": acted_upon,
    "by_group": by_group,
    "few_events": FEW_EVENTS,
    "fewest": FEWEST_ROWS,
    "heads_of_people": who.HEADS,
    "how_people_are_described": who.HOW,
    "of_those": OF_THOSE,
    "plain_words": WORDS,
    "sentence_of": sentence_of,
    "told_figures": told_figures,
}
