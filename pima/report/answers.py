"""The questions of two standards about a model, and what people answer where software can't know:
`card.toml`, beside the settings."""

import tomllib
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Annotated, Any

from msgspec import Meta
from sqlalchemy import Connection

from pima.core.declared.features import Features
from pima.errors import NoSuchVersion, WrongConfiguration
from pima.settings.reading import converted, read_toml
from pima.settings.sections import Frozen, Text
from pima.store.models import registry

STANDARDS: dict[str, list[list[str]]] = tomllib.loads(
    Path(__file__).with_name("standards.toml").read_text(encoding="utf-8")
)
"""By standard, each question: its number, its text, and the template of the answer if software can
know it."""
ITEMS = {f"{standard}.{code}" for standard in STANDARDS for code, *_ in STANDARDS[standard]}
"""The items of both by their names, as `hti_1.2(i)`."""
FILE = "card.toml"
OTHERWISE = "answered for version"


class PersonsAnswer(Frozen, frozen=True):
    """A section of the file; its name is the item's."""

    answer: Text
    by: Text
    on: date
    for_version: Annotated[int, Meta(ge=1)]
    """The version that the person had in view."""


Answers = Mapping[str, PersonsAnswer]
NO_ANSWERS: Mapping[str, Any] = {}


def read_answers(folder: Path) -> Answers:
    """Read the answers by item; none without the file. Raises WrongConfiguration."""
    path = folder / FILE
    if not path.exists():
        return NO_ANSWERS
    found = {}
    for item, section in read_toml(path).items():
        if item not in ITEMS or not isinstance(section, dict):
            raise WrongConfiguration(
                what=f'{path}: ["{item}"] is no item of a card',
                expected=(
                    'an item in quotes, as ["hti_1.2(i)"]; `python -m jobs.models card --open` '
                    "lists those without an answer"
                ),
            )
        found[item] = converted(section, PersonsAnswer, f'{path}: ["{item}"]')
    return found


def in_words(connection: Connection, answers: Answers, number: int) -> dict[str, str]:
    """Tell each answer, and whether it was given for a version that is not like this one. Raises
    NoSuchVersion."""
    versions = {each.for_version for each in answers.values()} | {number}
    asked = {version: _what_was_asked(connection, version) for version in versions}
    return {
        item: _told(each, number, asked[each.for_version] == asked[number])
        for item, each in answers.items()
    }


def _what_was_asked(connection: Connection, number: int) -> tuple[Features, float, str | None]:
    """What a person's answer rests on: features, threshold and horizon."""
    version = registry.read_version(connection, number)
    if version is None:
        raise NoSuchVersion(number=number)
    outcome = registry.declared_at(connection, version.created_at).outcome
    return registry.stored_features(version.features), version.threshold, outcome.horizon


def _told(found: PersonsAnswer, number: int, is_alike: bool) -> str:
    told = f"{found.answer} ({found.by}, {found.on}"
    if is_alike:
        return f"{told})"
    return f"{told}; {OTHERWISE} {found.for_version}, now {number})"
