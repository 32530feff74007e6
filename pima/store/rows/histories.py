"""Stored patients: the labelled history as a DataFrame, all rows or some of them as arrays, and the
values that they were predicted on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from sqlalchemy import Connection, Row, bindparam, text

from pima.core.arrays import BoolArray, Int64Array
from pima.core.declared.features import Declaration, Outcome, names_of
from pima.core.declared.identifiers import PERSON, SOURCE
from pima.core.outcomes.horizon import ACTED_UPON
from pima.core.rows.history import ranked, with_sides
from pima.core.rows.validation import Measurements
from pima.store.database import Timestamp, database_of, since_1970
from pima.store.engine import column, listed
from pima.store.models.registry import HoldoutRule, measured_since
from pima.store.rows.predicted_on import (
    LAST_FIRST,
    in_time,
    in_time_until,
    last_in_time,
    predicted_values,
    value_of,
)
from pima.store.rows.queue import id_lists
from pima.store.rows.settling import Settling
from pima.store.tables import IS_LABELLED

SIDE_KEY = f"""CASE WHEN patients.person_key IS NOT NULL THEN '{PERSON}' || patients.person_key
    WHEN patients.source_key IS NOT NULL
        THEN '{SOURCE}' || patients.source || ' ' || patients.source_key
    ELSE CAST(patients.id AS TEXT) END"""
"""The key by which the triggers decide a row's side of the holdout when it first comes. The three
kinds can't collide: an id is digits only, and a source's name contains no space."""


# A score counts as it stood when the version of the row that counts was last predicted in time.
_SCORE = """CASE WHEN {counted} IS NULL THEN {column} ELSE
    (SELECT s.value FROM prediction_scores s
     WHERE {in_time} AND s.patient_version = {counted} AND s.score = '{name}'
     ORDER BY s.scored_at DESC LIMIT 1) END"""


def labelled_history(
    connection: Connection, declared: Declaration, rule: HoldoutRule, settled: Settling
) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, int]]:
    """Read the labelled rows that count, with their features, retired ones too, the scores in use,
    the groups, and the side of each, in the form of `pima.core.rows.history`. Also return those
    that do not count since somebody acted on them, and how many do not count, by reason.

    One statement reads them, and so from one state of the database.
    """
    labelled_at = database_of(connection).milliseconds.format("labelled_at")
    read_as = [listed(declared.columns, "patients")]
    names = list(declared.columns)
    scores = names_of(declared.present_scores)
    if scores:
        until = in_time_until(connection, declared.outcome)
        counted = last_in_time("patient_version", "patients", until)
        known = in_time("s.scored_at", "patients", until)
        for name in scores:
            stands = listed([name], "patients")
            read_as.append(_SCORE.format(counted=counted, column=stands, name=name, in_time=known))
        names += scores
    # A group says whose row it is, and counts as it stands today.
    groups = names_of(declared.groups)
    read_as += [listed([name], "patients") for name in groups]
    names += groups
    others = ""
    waits = settled.uncounted is not None
    if waits:
        others = f", {settled.over_at}, {settled.uncounted}"
    # A tool that knows no persons may have rewritten a row without its person. Ordered, so that the
    # same rows give the same arrays and the same fingerprint.
    statement = f"""
        SELECT id, {", ".join(read_as)}, outcome, {labelled_at},
            coalesce(k.side_key, {SIDE_KEY}),
            coalesce(patients.person_key, k.person_key){others}
        FROM patients LEFT JOIN row_keys k ON k.patient_id = id WHERE {IS_LABELLED} ORDER BY id"""
    read = plain_rows(connection, statement)
    blocks = (_labelled(block, names, rule.salt, waits) for block in chain([()], read))
    rows = pd.concat(list(blocks))
    # Read after the rows: the person of a row deleted meanwhile is in row_keys by now. There are
    # few, since a row that comes with a person takes its first name from it.
    renamed = _ranked(
        plain_rows(connection, f"{_KEYS} WHERE side_key <> '{PERSON}' || person_key"), rule.salt
    )
    history = with_sides(rows, renamed, rule.share)
    if not waits:
        return history, history[:0], {}
    why = history.pop("Unsettled")
    return history[why.isna()], history[why == ACTED_UPON], why.value_counts().to_dict()


_KEYS = "SELECT patient_id, side_key, person_key FROM row_keys"


def keys_of(connection: Connection, ids: Int64Array, salt: str) -> pd.DataFrame:
    """Rank the first names and the last persons of the rows with these ids: by `id`, the columns of
    `pima.core.rows.history.ranked`. Rows that never had a key are left out."""
    wanted = set(ids.tolist())
    blocks = plain_rows(connection, _KEYS)
    return _ranked(([row for row in rows if row[0] in wanted] for rows in blocks), salt)


def _ranked(blocks: Iterable[Sequence[tuple[Any, ...]]], salt: str) -> pd.DataFrame:
    """Rank rows (id, first name, person)."""
    rows = list(chain.from_iterable(blocks))
    ids, names, persons = zip(*rows, strict=True) if rows else ((), (), ())
    return ranked(names, persons, salt).set_index(pd.Index(ids, dtype="int64", name="id"))


def _labelled(
    rows: Sequence[tuple[Any, ...]], names: Sequence[str], salt: str, waits: bool
) -> pd.DataFrame:
    columns = list(zip(*rows, strict=True)) or [()] * (len(names) + 5 + 2 * waits)
    ids = columns.pop(0)
    measured = columns[: len(names)]
    outcomes, labelled, first, persons, *settled = columns[len(names) :]
    read = _as_measurements(measured, len(rows))
    values = np.where(np.isnan(read.values), np.inf, read.values)
    values[read.is_null] = np.nan
    index = pd.Index(ids, dtype="int64", name="id")
    features = pd.DataFrame(values, index, names, copy=False)
    found = features.assign(
        outcome=np.array(outcomes, np.int8),
        labelled_at=_times(labelled),
        Over=_times(labelled),
    )
    if waits:
        over_at, unsettled = settled
        found["Over"] = _times(over_at)
        found["Unsettled"] = np.array(unsettled, object)
    return pd.concat([found, ranked(first, persons, salt).set_index(index)], axis=1)


def _times(milliseconds: Sequence[int | None]) -> pd.DatetimeIndex:
    return pd.DatetimeIndex(np.array(milliseconds, "M8[ms]"), tz="UTC")


_BLOCK_ROWS = 20_000


def plain_rows(connection: Connection, statement: str) -> Iterator[Sequence[tuple[Any, ...]]]:
    """Read blocks of the driver's own tuples: SQLAlchemy's row objects would cost more than reading
    a million rows.

    Each block becomes arrays, so the tuples of the whole history are never in memory at once.
    """
    cursor = database_of(connection).cursor(connection)
    cursor.execute(statement)
    while rows := cursor.fetchmany(_BLOCK_ROWS):
        yield rows


@dataclass(frozen=True, slots=True)
class Rows:
    """Some patients, as the table has them."""

    ids: Int64Array
    """(n,)"""
    unlabelled: BoolArray
    """(n,)"""
    measurements: Measurements
    """n rows of the requested features"""


def rows_above(connection: Connection, names: Sequence[str], after: int) -> Rows | None:
    """Read a block of the rows with the lowest ids above `after`; None if there are none."""
    statement = f"{_select_rows(names)} WHERE id > {after} ORDER BY id LIMIT {_BLOCK_ROWS}"
    return next((_as_rows(rows, names) for rows in plain_rows(connection, statement)), None)


def row_by_id(connection: Connection, patient_id: int, names: Sequence[str]) -> Rows:
    """The row with this id and these features; none or one."""
    statement = f"{_select_rows(names)} WHERE id = :patient_id"
    return rows_of(connection, names, statement, {"patient_id": patient_id})


def id_by_key(connection: Connection, source: str, source_key: str) -> int | None:
    """The id of the row that has this key in this source; None if there is none."""
    statement = text("SELECT id FROM patients WHERE source = :source AND source_key = :source_key")
    called = {"source": source, "source_key": source_key}
    return connection.scalar(statement, called)


def columns_by_id(connection: Connection, ids: Sequence[int], names: Sequence[str]) -> pd.DataFrame:
    """These columns of the rows with these ids, in their order; NaN where there is no value."""
    select = f"SELECT {listed(['id', *names])} FROM patients WHERE id IN"
    found = (connection.execute(text(f"{select} ({some})")).all() for some in id_lists(ids))
    rows = pd.DataFrame(chain.from_iterable(found), columns=["id", *names]).set_index("id")
    return rows.astype("float64").reindex(ids)


def rows_of(
    connection: Connection, names: Sequence[str], statement: str, parameters: Mapping[str, object]
) -> Rows:
    """The rows of a SELECT of an id, whether there is no outcome, and these features."""
    found = connection.execute(text(statement), parameters)
    return _as_rows([tuple(row) for row in found], names)


def _select_rows(names: Sequence[str]) -> str:
    return f"SELECT id, outcome IS NULL, {listed(names)} FROM patients"


def _as_rows(rows: Sequence[tuple[Any, ...]], names: Sequence[str]) -> Rows:
    columns = list(zip(*rows, strict=True)) or [()] * (2 + len(names))
    ids, unlabelled, *measured = columns
    return Rows(
        np.array(ids, np.int64), np.array(unlabelled, bool), _as_measurements(measured, len(rows))
    )


def _as_measurements(columns: Sequence[Sequence[Any]], rows: int) -> Measurements:
    """Turn a column of floats and None for each feature into arrays (rows, features)."""
    values = np.zeros((rows, len(columns)), dtype=np.float64)
    is_null = np.zeros_like(values, dtype=bool)
    for position, cells in enumerate(columns):
        values[:, position] = np.array(cells, dtype=np.float64)  # None becomes NaN
        unclear = np.flatnonzero(np.isnan(values[:, position]))
        is_null[unclear, position] = [cells[row] is None for row in unclear.tolist()]
    values[is_null] = 0.0
    return Measurements(values, is_null)


# ---- The values that rows were predicted on.

# A join leaves few, and only of these it is asked which version counts.
_CORRECTED = """AND d.patient_id IN (
    SELECT e.patient_id FROM predictions e JOIN patients p ON p.id = e.patient_id
    WHERE p.labelled_at IS NOT NULL AND e.patient_version < p.version)"""


def _counting(
    connection: Connection, names: Sequence[str], outcome: Outcome, among: str = ""
) -> str:
    """The SELECT of the prediction that counts of each labelled row, with the values of these
    features that it was made from, and when these were first predicted on."""
    return f"""
        SELECT * FROM (
            SELECT d.*,
                min(scored_at) OVER (PARTITION BY patient_id, patient_version) AS first_at,
                row_number() OVER (PARTITION BY patient_id ORDER BY {LAST_FIRST}) AS place
            FROM ({predicted_values(names)}) AS d
            WHERE {IS_LABELLED} AND scored_at <= {in_time_until(connection, outcome)} {among}
        ) AS placed WHERE place = 1"""


def predicted_on(
    connection: Connection, names: Sequence[str], outcome: Outcome
) -> tuple[pd.DataFrame, pd.Index]:
    """Read the values of these features that labelled rows were predicted on, by id, of rows that
    were corrected after the prediction that counts. Also return the ids of those whose values then
    are not kept."""
    since = measured_since(connection)
    values = []
    for name in names:
        value = f"c.{value_of(name)}"
        if name in since:
            # What was predicted before a feature was there, or in another unit, says nothing of it.
            value = f"CASE WHEN c.first_at < :{name} THEN {column(name, 'p')} ELSE {value} END"
        values.append(value)
    statement = f"""
        WITH counting AS MATERIALIZED ({_counting(connection, names, outcome, _CORRECTED)})
        SELECT c.patient_id, c.is_kept, {", ".join(values)}
        FROM counting c JOIN patients p ON p.id = c.patient_id
        WHERE c.patient_version <> c.version ORDER BY c.patient_id"""
    moments = (bindparam(name, moment, Timestamp()) for name, moment in since.items())
    found = connection.execute(text(statement).bindparams(*moments)).all()
    rows = pd.DataFrame(found, columns=["id", "Kept", *names]).set_index("id")
    is_kept = rows.pop("Kept").astype(bool)
    return rows[is_kept].astype("float64"), rows.index[~is_kept]


def predicted_in_time(connection: Connection, outcome: Outcome, now: datetime) -> pd.DataFrame:
    """Read what `pima.core.rows.hindsight.corrections` takes, of all labelled rows that were
    predicted in time."""
    days_ago = f"({since_1970(now)} - {database_of(connection).milliseconds}) / 86400000.0"
    statement = f"""
        SELECT patient_id, probability, {days_ago.format("first_at")},
            {days_ago.format("replaced_at")}
        FROM ({_counting(connection, (), outcome)}) AS counting"""
    types = {"id": "int64"} | dict.fromkeys(("probability", "predicted", "replaced"), "float64")
    read = chain([()], plain_rows(connection, statement))
    blocks = (pd.DataFrame(rows, columns=list(types)).astype(types) for rows in read)
    return pd.concat(blocks).set_index("id")


def stored_prediction(connection: Connection, patient_id: int) -> Row[Any] | None:
    """Read `patient_version`, `model_version` and `scored_at` of the prediction that stands: of the
    newest version with predictions, by the champion if it made one. None if there is none."""
    # The rule of current_predictions, which the trainer's role may not read: it has persons' keys.
    statement = text("""
        SELECT patient_version, model_version, scored_at FROM predictions
        WHERE patient_id = :patient_id
        ORDER BY patient_version DESC,
            CASE WHEN model_version = (SELECT model_version FROM champion) THEN 0 ELSE 1 END,
            run_id DESC, model_version DESC
        LIMIT 1""").columns(scored_at=Timestamp())
    return connection.execute(statement, {"patient_id": patient_id}).first()


def row_predicted_on(
    connection: Connection, patient_id: int, prediction: Row[Any], names: Sequence[str]
) -> Rows:
    """The row with these features as a prediction was made from it; none if its values then are not
    kept."""
    values = "".join(f", {value_of(name)}" for name in names)
    statement = f"""
        SELECT patient_id, outcome IS NULL {values} FROM ({predicted_values(names)}) AS made
        WHERE patient_id = :patient_id AND patient_version = :version AND model_version = :model
            AND is_kept"""
    called = {
        "patient_id": patient_id,
        "version": prediction.patient_version,
        "model": prediction.model_version,
    }
    return rows_of(connection, names, statement, called)
