"""The tables, their columns and the views, read from schema.sql, which says what each is for.

The tables of `WITH_FEATURES` also have a column for each declared feature, those of `WITH_SCORES`
one for each score in use, and `patients` one for each group. Those are made from the declaration,
so no list here has them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

from sqlalchemy import Column, ForeignKeyConstraint, Identity, Integer, MetaData, Table, Text

from pima.core.declared.features import Declaration
from pima.store.database import Bytes, Id, Json, Key, Real, Timestamp

SCRIPT = Path(__file__).with_name("schema.sql")

_KINDS = {
    "BIGINT": Id,
    "INTEGER": Integer,
    "DOUBLE PRECISION": Real,
    'TEXT COLLATE "C"': Key,
    "TEXT": Text,
    "TIMESTAMP WITH TIME ZONE": Timestamp,
    "JSONB": Json,
    "BYTEA": Bytes,
}
_SAID = r"((?:^-- [^\n]*\n)+)"
_TABLE = re.compile(_SAID + r"CREATE TABLE (\w+) \((.*?)^\);", re.MULTILINE | re.DOTALL)
_VIEW = re.compile(_SAID + r"CREATE VIEW (\w+) ", re.MULTILINE)
_COLUMN = re.compile(rf"^    ([a-z]\w*) ({'|'.join(_KINDS)})(.*?)(?: -- (.*))?$", re.MULTILINE)


def _read(script: str) -> MetaData:
    """The script's tables with their keys; `info` says what each holds and has its CHECKs by
    name."""
    made = MetaData()
    for said, name, body in _TABLE.findall(script):
        bare = re.sub(" *--.*", "", body)
        keys = ", ".join(re.findall(r"PRIMARY KEY \((.*?)\)", bare)).split(", ")
        columns = [_column(keys, *found) for found in _COLUMN.findall(body)]
        others = re.findall(r"FOREIGN KEY \((\w+)\) REFERENCES (\w+) \((\w+)\)", bare)
        foreign = [
            ForeignKeyConstraint([ours], [f"{table}.{theirs}"]) for ours, table, theirs in others
        ]
        checks = dict(re.findall(r"(\w+) CHECK \((.*?)\),?\n", bare, re.DOTALL))
        Table(name, made, *columns, *foreign, info={"meaning": _sentences(said), "checks": checks})
    return made


def _column(keys: Sequence[str], name: str, kind: str, rest: str, doc: str) -> Column[Any]:
    drawn = [Identity(always=False)] if "IDENTITY" in rest else []
    is_key = name in keys or "PRIMARY KEY" in rest
    nullable = not is_key and "NOT NULL" not in rest
    return Column(
        name,
        _KINDS[kind],
        *drawn,
        primary_key=is_key,
        nullable=nullable,
        autoincrement=bool(drawn),
        doc=doc,
    )


def _sentences(said: str) -> str:
    return " ".join(said.replace("--", "").split())


_script = SCRIPT.read_text("utf-8")
metadata = _read(_script)
TABLES = tuple(metadata.tables.values())


def __getattr__(name: str) -> Table:
    """Each table by its name, such as `tables.patients`."""
    if name not in metadata.tables:
        raise AttributeError(name)
    return metadata.tables[name]


VIEWS = {view: _sentences(said) for said, view in _VIEW.findall(_script)}
"""The contents of each view, in words."""

IS_LABELLED = "labelled_at IS NOT NULL AND outcome IN (0, 1)"
"""The condition of a labelled row, in the index's terms."""
NEWEST_FIRST = "labelled_at DESC, id DESC"
"""The order of outcomes, newest first. Among outcomes of one moment, such as those of a file, the
highest id is the newest. SQLite reads this order from the index. PostgreSQL sorts the rows of each
moment that it needs: that takes 0.3 s if 200,000 rows share a moment, and under a millisecond if
500 do."""

WITH_FEATURES = ("patients", "scoring_queue", "row_history")
"""The tables that have a column of type Real for each feature, declared or retired."""
WITH_SCORES = ("patients", "scoring_queue")
"""Those that have one for each score in use, too."""


def fields_of(record: type[Any], of: Table) -> list[Column[Any]]:
    """The columns of a table that are fields of a record."""
    return [of.c[name] for name in record.__dataclass_fields__]


def declared_columns(declared: Declaration) -> Iterator[tuple[str, str]]:
    """Pairs of a table and a column that it has for a feature, a score or a group, retired ones
    too."""
    yield from product(WITH_FEATURES, declared.columns)
    yield from product(WITH_SCORES, declared.score_columns)
    yield from product(["patients"], declared.group_columns)


def with_features(features: Sequence[str], others: Iterable[tuple[str, str]] = ()) -> MetaData:
    """Copy the tables and add the columns of these features, and others as pairs of a table and a
    column."""
    whole = MetaData()
    for table in TABLES:
        table.to_metadata(whole)
    for table_name, name in (*product(WITH_FEATURES, features), *others):
        whole.tables[table_name].append_column(Column(name, Real))
    return whole
