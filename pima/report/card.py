"""A model card: the facts about a version with the answers to both standards, and its Markdown,
which also reads well as plain text."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import structs
from sqlalchemy import Engine

from pima.core.outcomes.realised import FEW_EVENTS, OF_THOSE, CameTrue, told_figures
from pima.core.statistics.disclosure import FEWEST_ROWS
from pima.core.statistics.estimates import in_words
from pima.core.verdicts.pairs import sentence_of
from pima.logs import counted
from pima.report.answers import NO_ANSWERS, OTHERWISE, Answers
from pima.report.answers import in_words as told_answers
from pima.report.clinician import WORDS, first_sentences
from pima.report.in_short import in_short
from pima.report.standards import (
    Item,
    corrections,
    items_of,
    limits,
    output,
    sides,
    sizes,
    threshold,
    visits,
)
from pima.report.version_facts import Subgroup, VersionFacts, read_facts
from pima.report.who import HEADS as HEADS_OF_PEOPLE
from pima.report.who import HOW
from pima.runs.recorded_run import INLINED
from pima.settings.sections import Settings
from pima.store.engine import reading
from pima.watch.acted_upon import HEADS as HEADS_OF_ACTED
from pima.watch.acted_upon import MEANS, ActedUpon
from pima.watch.by_group import AS_SERVED, HEADS

_QUESTIONS = (
    "What both standards ask, and no software can know. Nobody has answered these yet; answers "
    "stand in `card.toml`, beside the settings:"
)
_OF_SUBGROUPS = ("area under ROC", "sensitivity", "specificity", "calibration slope")


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
    return Card(
        facts, limits(facts), items_of("hti_1", facts, people), items_of("tripod_ai", facts, people)
    )


def left_open(made: Card) -> list[dict[str, str]]:
    """The items that nobody has answered, or not for a version like this one."""
    return [
        {"item": f"{name}.{each.code}", "asks": each.asks, "answer": each.people or ""}
        for _, name, items in made.standards
        for each in items
        if not each.told or OTHERWISE in (each.people or "")
    ]


def as_markdown(made: Card) -> str:
    """Write the whole card."""
    # The clinic's own words are escaped, so that none of them acts as markup.
    own = ("outcome", "inputs", "judged", "evidence", "people")
    names = (*own, "groups", "in_groups", "beside_scores")
    facts = replace(made.facts, **{name: _plain(getattr(made.facts, name)) for name in names})
    facts = replace(facts, declared=structs.replace(facts.declared, meaning=facts.outcome))
    people = {
        f"{name}.{each.code}": _plain(each.people)
        for _, name, items in made.standards
        for each in items
        if each.people
    }
    told = card(facts, people)
    blocks = (
        *_head(facts),
        in_short(facts, len(left_open(made))),
        *_listed("Limits", told.limits),
        *_what_it_is(facts),
        *_people(facts),
        *_data(facts),
        *_figures(facts),
        *_subgroups(facts),
        *_standing(facts),
        *facts.beside_scores,
        *_groups(facts),
        *_acted(facts.acted),
        *_changes(facts),
        *_items(
            "Source attributes of HTI-1",
            "45 CFR 170.315(b)(11)(iv)(B), predictive interventions",
            told.hti_1,
        ),
        *_items(
            "TRIPOD+AI", "Collins et al., BMJ 2024;385:e078378, items in our words", told.tripod_ai
        ),
        *("## Questions for people", _QUESTIONS),
        _list(
            f"{name} {each.code}: {each.asks}"
            for name, _, items in told.standards
            for each in items
            if not each.told
        ),
        *_listed("Words", (f"**{word}**: {plain}." for word, plain in WORDS.items())),
    )
    return "\n\n".join(blocks) + "\n"


def _plain(found: Any) -> Any:
    """Escape words, or those of a record."""
    if isinstance(found, str):
        # Bars are escaped in `_row`, since they matter only in tables; an underscore within a word
        # never matters.
        return re.sub(r"[\\`*\[\]<&~$]|(?<![^\W_])_|_(?![^\W_])", r"\\\g<0>", found)
    if isinstance(found, tuple):
        return tuple(map(_plain, found))
    if isinstance(found, Mapping):
        return {_plain(name): _plain(each) for name, each in found.items()}
    if names := getattr(found, "__dataclass_fields__", None):
        return replace(found, **{name: _plain(getattr(found, name)) for name in names})
    return found


def _head(facts: VersionFacts) -> Iterator[str]:
    yield f"# Model card: version {facts.version}"
    what = "The champion" if facts.champion else "Not the champion"
    yield (
        f"{what} on {facts.as_of:%Y-%m-%d}, which is the version that scores ([words](#words)).\n"
        f"Trained on {facts.trained_at:%Y-%m-%d}."
    )
    yield _list(first_sentences(facts.declared, facts.threshold, facts.threshold_rule))


def _what_it_is(facts: VersionFacts) -> Iterator[str]:
    yield "## What it is"
    yield f"A neural network (recipe `{facts.network}`). {output(facts)}\n{threshold(facts)}"
    if facts.judged is not None:
        against = ""
        if facts.judged.against is not None:
            against = f", against version {facts.judged.against}"
        yield (
            f"Its [verdict](#words) of {facts.judged.decided_at:%Y-%m-%d}{against}: "
            f"{facts.judged.explanation}"
        )
    yield "## For whom, and for whom not"
    yield (
        "For patients like those that it learned from, with the inputs below. Not for patients "
        "whose values are out\n"
        "of range, or who lack an input that must be there: they get no prediction. Beyond that "
        "software can't know\n"
        "whom it is for: see the [questions](#questions-for-people)."
    )
    yield "## Inputs"
    rows = ((each.name, each.values, each.missing, each.rationale) for each in facts.inputs)
    yield _table(("input", "values", "missing", "why this range"), rows)


def _people(facts: VersionFacts) -> Iterator[str]:
    yield "## Who these people are"
    yield f"{HOW} Declared groups have their own table."
    yield _table(HEADS_OF_PEOPLE, facts.people)


def _data(facts: VersionFacts) -> Iterator[str]:
    data = facts.data
    yield "## Data"
    yield f"{sizes(facts)} {sides(facts)}"
    left_out = ", ".join(
        f"{reason.replace('_', ' ')} {rows}" for reason, rows in data.left_out.items()
    )
    rows = [
        (
            "first and last outcome",
            f"{data.first_outcome or 'unknown'} to {data.last_outcome or 'unknown'}",
        ),
        ("left out", left_out or "none"),
        ("twins kept in", str(data.twins_kept)),
        ("visits a person", visits(facts)),
        ("corrected after their prediction", corrections(facts)),
    ]
    yield _table(("data", ""), rows)


def _figures(facts: VersionFacts) -> Iterator[str]:
    yield "## Figures"
    found = facts.evidence
    if found is None:
        yield (
            f"None are kept for this version. Those of fewer than {FEWEST_ROWS} rows are not shown."
        )
        return
    yield (
        f"On {counted(found.rows, 'held-out row')}, {found.positive} with outcome 1; 95 % "
        "intervals in brackets. Where rows are visits of persons, they count persons, not visits."
    )
    against = facts.judged.against if facts.judged else None
    heads = ["figure", f"version {facts.version}"]
    rows = [[each.name, in_words(each.figure)] for each in found.figures]
    if any(each.before for each in found.figures):
        heads.append(f"version {against}")
        for row, each in zip(rows, found.figures, strict=True):
            row.append("-" if each.before is None else in_words(each.before))
    yield _table(heads, rows)
    for pair in found.pairs:
        yield sentence_of(pair, f"version {facts.version}", counted(pair.rows, "row"))
    yield "Net benefit, in cases found per 100 rows; treating none has 0:"
    benefits = (
        (
            f"{100 * each.threshold:.0f} %",
            f"{100 * each.model:z.1f}",
            f"{100 * each.treat_all:z.1f}",
        )
        for each in found.net_benefit
    )
    yield _table(("threshold", f"version {facts.version}", "treating all"), benefits)


def _subgroups(facts: VersionFacts) -> Iterator[str]:
    yield "## Subgroups"
    found = () if facts.evidence is None else facts.evidence.subgroups
    if not found:
        yield "None are known."
        return
    yield "Few rows say little. A dash stands where the figures could give a patient away."
    yield _table(("subgroup", "rows", "outcome 1", *_OF_SUBGROUPS), map(_subgroup, found))


def _standing(facts: VersionFacts) -> Iterator[str]:
    yield "## What came true"
    if facts.of_those_followed_up:
        yield OF_THOSE
    if facts.as_served is not None:
        if facts.as_served.intervals is not None:
            yield facts.as_served.intervals
        yield from _figures_of(
            facts.as_served.every, facts.as_served.lately, "Of all predictions, by any version,"
        )
    yield from _figures_of(facts.standing, None, "Of its own predictions")


def _figures_of(found: CameTrue | None, lately: CameTrue | None, whose: str) -> Iterator[str]:
    if found is None or found.outcomes < FEWEST_ROWS:
        yield f"{whose} fewer than {FEWEST_ROWS} have a settled outcome that counts."
        return
    few = " These are few: the figures may be luck." if found.events < FEW_EVENTS else ""
    yield (
        f"{whose} {found.outcomes:,} have a settled outcome, {found.positive} of them outcome "
        f"1.{few}"
    )
    yield _table(("figure", "with its 95 % interval"), told_figures(found, 3, lately))


def _groups(facts: VersionFacts) -> Iterator[str]:
    if facts.groups:
        yield "## Groups that no model sees"
        yield AS_SERVED
        yield from facts.in_groups
        yield from (doubt for each in facts.groups for doubt in each.doubts)
        rows = ((f"{each.name}: {row[0]}", *row[1:]) for each in facts.groups for row in each.table)
        yield _table(HEADS, rows)


def _acted(found: ActedUpon | None) -> Iterator[str]:
    if found:
        yield "## Acted upon"
        yield MEANS
        yield _table(HEADS_OF_ACTED, found.table)
        yield from found.remarks


def _subgroup(found: Subgroup) -> tuple[str, ...]:
    name = f"{found.feature}: {found.group}"
    if found.rows is None:
        return (name, *"-" * (2 + len(_OF_SUBGROUPS)))
    figures = {each.name: in_words(each.figure, 2) for each in found.figures}
    rows = f"{found.rows} (few)" if found.few else f"{found.rows}"
    ones = f"under {FEWEST_ROWS}" if found.positive is None else f"{found.positive}"
    return (name, rows, ones, *(figures[each] for each in _OF_SUBGROUPS))


def _changes(facts: VersionFacts) -> tuple[str, ...]:
    against = facts.judged.against if facts.judged else None
    if against is None:
        return "## Changes", "It is the first: there was no champion before it."
    return _listed(f"Changes since version {against}", facts.changes or ("none that is on record",))


def _listed(heading: str, lines: Iterable[str]) -> tuple[str, str]:
    return f"## {heading}", _list(lines)


def _list(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _items(heading: str, standard: str, items: Sequence[Item]) -> tuple[str, str, str]:
    answered = ((each.code, each.asks, each.told or "**a question for people**") for each in items)
    return f"## {heading}", f"{standard}.", _table(("item", "asks", "answer"), answered)


def _table(heads: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    return "\n".join([_row(heads), "|" + "---|" * len(heads), *map(_row, rows)])


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |"
