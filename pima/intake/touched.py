"""Which rows of an attached source were touched since its last pull, by what the triggers on its table have noted."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from sqlalchemy import Engine

from pima.core.keys import canonical_key
from pima.core.source import KeyType, Source
from pima.errors import CannotAttach
from pima.intake import extent
from pima.intake.attaching import table_of
from pima.intake.extent import TouchedKeys, Whole
from pima.logs import get_logger
from pima.store import source_changes
from pima.store.attaching import attached_names
from pima.store.database import database_of
from pima.store.engine import reading
from pima.store.source_changes import Noted


@dataclass(frozen=True, slots=True)
class Touched:
    """What a pull knows before it reads the source."""

    keys: TouchedKeys | Whole
    """Whole where the notes say that all may have been touched, or where they may not tell all."""
    state: str
    """Of what notes them; what was compared in another one says nothing now."""
    entries: Sequence[int]
    """The notes that stand behind the keys: forgotten once the pull is completed."""


def touched_keys(engine: Engine, source: Source, source_engine: Engine) -> Touched | None:
    """None where the source is not attached. Raises SourceAway, SourceUnusable.

    The state first: what goes wrong after it was looked at makes another one of it for the next pull.
    """
    with reading(engine) as connection:
        if source.name not in attached_names(connection):
            return None
    fault = _fault(engine, source, source_engine)
    if fault is not None:
        get_logger().warning("the triggers of the source are not to be relied on", source=source.name, because=fault)
    with reading(engine) as connection:
        state = fault or database_of(connection).attaching.state(connection, source.name)
    with reading(engine) as connection:
        noted = source_changes.noted(connection, source.name, extent.MOST_TOUCHED)
    keys = _keys(source, noted) if fault is None else Whole("its triggers are not as they were attached")
    return Touched(keys, state, noted.ids)


def _fault(engine: Engine, source: Source, source_engine: Engine) -> str | None:
    try:
        table = table_of(engine, source, source_engine)
    except CannotAttach as error:
        return str(error.facts["what"])
    with reading(engine) as connection:
        return database_of(connection).attaching.fault(connection, source, table)


def _keys(source: Source, noted: Noted) -> TouchedKeys | Whole:
    if not noted.are_all:
        return Whole("very many of its keys were touched")
    keys: dict[str, list[tuple[str, ...]]] = {}
    for text in noted.texts:
        key = None if text is None else key_of_note(text, source)
        if text is None or key is None:
            return Whole("all of it was touched, as by TRUNCATE, or a row that has no key")
        keys.setdefault(key, []).append(_texts(text, source))
    return keys


def key_of_note(text: str, source: Source) -> str | None:
    """What the row is called here of which a trigger has noted the key; None where it has no key."""
    return canonical_key(list(map(_value, _texts(text, source), source.key_types)), source.key_types)


def _texts(text: str, source: Source) -> tuple[str, ...]:
    return (text,) if len(source.keys) == 1 else tuple(json.loads(text))


def _value(text: str, key_type: KeyType) -> object:
    """What a driver would have given."""
    if key_type != "integer":
        return text
    try:
        return Decimal(text)
    except InvalidOperation:
        return None
