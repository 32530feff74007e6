"""Staged rows of a source: compared with ours, judged as a whole, and taken in by ranges of keys."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import pandas as pd
from sqlalchemy import Connection, text
from sqlalchemy.exc import IntegrityError

from pima.core.features import Feature, Features
from pima.core.identifiers import FORGOTTEN, Forgotten
from pima.store.arrivals import (
    IS_REJECTED,
    IS_SOUND,
    OUTCOMES,
    VANISHED,
    KeyRange,
    OutcomesChanged,
    Staging,
    of_range,
    range_parameters,
)
from pima.store.database import Key
from pima.store.engine import any_differs, column


@dataclass(frozen=True, slots=True)
class Comparison:
    """How staged rows of a source differ from ours."""

    ours: int
    """Our rows among those compared."""
    ours_in_all: int
    """All our rows of the source."""
    outcomes_known: int
    """How many of `ours` have an outcome."""
    missing: Counter[str]
    """How many of `ours` lack each feature."""
    new: int
    changed: int
    unchanged: int
    vanished: int
    outcomes: OutcomesChanged

    def __add__(self, other: "Comparison") -> "Comparison":
        """Add the counts of two ranges."""
        return Comparison(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


_BEHIND_ALL = "\U0010ffff"
"""Sorts after all keys."""


class StagedSource(Staging):
    """The staged rows of a source by key, with all of its keys if only a part of its rows is staged."""

    @property
    def _keys(self) -> str:
        return f"{self._table}_keys"

    def make(self) -> None:
        """Make both tables, empty."""
        super().make()
        self._execute(f"CREATE TEMPORARY TABLE {self._keys} (source_key {Key().compile(self._connection.dialect)})")

    def drop(self) -> None:
        """Drop both tables."""
        super().drop()
        self._execute(f"DROP TABLE IF EXISTS {self._keys}")

    def repeated_keys(self) -> int:
        """Count the rows whose key an earlier row has; if there are none, the keys have an index from now on."""
        try:
            with self._connection.begin_nested():
                self._database.index_staged(self._connection, self._table)
        except IntegrityError:
            return self._count(f"SELECT count(*) - count(DISTINCT source_key) FROM {self._table}")
        return 0

    def append_keys(self, keys: Sequence[str]) -> None:
        """Add keys of a source, if only its changed rows are staged."""
        if keys:
            self._database.append_frame(self._connection, self._keys, pd.DataFrame({"source_key": keys}, dtype=object))

    def ranges_to_compare(self, whole: bool, rows: int) -> list[KeyRange]:
        """Split all keys into ranges, each to be compared in its own transaction. On a file, where a reader keeps
        others from committing, a range has `rows` keys; on a server there is one range."""
        if not self._database.is_a_file:
            return [KeyRange("", _BEHIND_ALL, 0, 0, 0)]
        keys = self._table if whole else self._keys
        found = self._connection.execute(
            text(f"""
                SELECT source_key
                FROM (SELECT source_key, row_number() OVER (ORDER BY source_key) AS n FROM {keys}) AS numbered
                WHERE n % :rows = 0 ORDER BY source_key"""),
            {"rows": rows},
        )
        cuts = ["", *found.scalars(), _BEHIND_ALL]
        return [KeyRange(after, last, 0, 0, 0) for after, last in pairwise(cuts)]

    def compare(self, within: KeyRange, features: Features, whole: bool, deletes: bool) -> Comparison:
        """Compare the staged rows of a range with our rows of the source, and drop unchanged ones. All keys of the
        source tell which of our rows have vanished: the staged rows of a `whole` source, else the separate keys."""
        here = range_parameters(within)
        if self._has_moment:
            # An outcome that is held back is staged as a time alone: ours stays as it is until then.
            outcome = f"(SELECT p.outcome FROM patients p WHERE {self._same})"
            held_back = f"s.outcome IS NULL AND s.labelled_at IS NOT NULL AND {of_range(within)}"
            statement = f"UPDATE {self._table} AS s SET outcome = {outcome}, labelled_at = NULL WHERE {held_back}"
            self._execute(statement, here)
        ours_here = f"p.source = :source AND {of_range(within, 'p')}"
        staged_here = f"{IS_SOUND} AND {of_range(within)}"
        rows = f"{self._table} s JOIN patients p ON {self._same} WHERE {of_range(within)}"
        lacking = "".join(f", count(*) - count({_known(feature)})" for feature in features)
        compared = f"patients p WHERE {ours_here}" if whole else rows
        ours, known, *missing = self._one(f"SELECT count(*), count(p.outcome){lacking} FROM {compared}", here)
        in_all = ours if whole else self._count(f"SELECT count(*) FROM patients p WHERE {ours_here}", here)
        vanished = self._vanished(within, self._table if whole else self._keys, deletes)
        # Rows that were rejected before stay staged until their rejection is removed. EXCEPT needs no join, for which
        # the planner may lack statistics.
        rejected = f"SELECT s.source_key FROM source_rejections s WHERE s.source = :source AND {of_range(within)}"
        unchanged = self._execute(
            f"""
            DELETE FROM {self._table} WHERE source_key IN (
                SELECT s.source_key FROM {self._table} s JOIN patients p ON {self._same}
                WHERE {staged_here} AND NOT ({self._differs("p")})
                EXCEPT {rejected})""",
            here,
        )
        new, same, changed, *outcomes = self._one(
            f"""
            SELECT count(*) FILTER (WHERE p.id IS NULL),
                count(*) FILTER (WHERE p.id IS NOT NULL AND NOT ({self._differs("p")})),
                count(*) FILTER (WHERE p.id IS NOT NULL AND ({self._differs("p")})), {OUTCOMES}
            FROM {self._table} s LEFT JOIN patients p ON {self._same} WHERE {staged_here}""",
            here,
        )
        found = OutcomesChanged(*outcomes) if "outcome" in self._columns else OutcomesChanged()
        lacks = Counter(dict(zip([feature.name for feature in features], missing, strict=True)))
        return Comparison(ours, in_all, known, lacks, new, changed, unchanged + same, vanished, found)

    def _vanished(self, within: KeyRange, keys: str, deletes: bool) -> int:
        ours = f"SELECT s.source_key FROM patients s WHERE s.source = :source AND {of_range(within)}"
        vanished = f"{ours} EXCEPT SELECT s.source_key FROM {keys} s WHERE {of_range(within)}"
        if not deletes:
            return self._count(f"SELECT count(*) FROM ({vanished}) AS v", range_parameters(within))
        return self._execute(
            f"INSERT INTO {self._table} (source_key, reason) SELECT source_key, '{VANISHED}' FROM ({vanished}) AS v",
            range_parameters(within),
        )

    def keys_of(self, source: str) -> tuple[int, int]:
        """How many of the staged rows have a key of that source's rows, and how many there are."""
        known = self._count(
            f"""SELECT count(*) FROM {self._table} s WHERE {IS_SOUND}
            AND EXISTS (SELECT 1 FROM patients p WHERE p.source = :former AND p.source_key = s.source_key)""",
            {"former": source},
        )
        return known, self._count(f"SELECT count(*) FROM {self._table} s WHERE {IS_SOUND}")

    def write_rejections(self, whole: bool, run_id: int) -> None:
        """Record the rejected rows, and remove those that the source no longer has and those of forgotten persons."""
        keys, forgotten = self._table if whole else self._keys, f"s.reason = '{FORGOTTEN}'"
        is_there = f"SELECT count(*) FROM {keys} s WHERE s.source_key = r.source_key"
        if whole:
            is_there += f" AND coalesce(s.reason, '') <> '{VANISHED}'"
        is_theirs = f"SELECT count(*) FROM {self._table} s WHERE s.source_key = r.source_key AND {forgotten}"
        # As scalar subqueries they are looked up for each row; a join with a table that just grew may get any plan.
        self._execute(f"""
            DELETE FROM source_rejections AS r
            WHERE r.source = :source AND (({is_there}) = 0 OR ({is_theirs}) > 0)""")
        as_before = "(source_rejections.reason, source_rejections.field) = (EXCLUDED.reason, EXCLUDED.field)"
        self._execute(
            f"""
            INSERT INTO source_rejections (source, source_key, reason, field, run_id)
            SELECT :source, s.source_key, s.reason, s.field,
                CASE WHEN s.outcome IS NULL THEN CAST(:run_id AS BIGINT) END
            FROM {self._table} s WHERE {IS_REJECTED} AND NOT ({forgotten})
            ON CONFLICT (source, source_key) DO UPDATE
            SET reason = EXCLUDED.reason, field = EXCLUDED.field,
                since = CASE WHEN {as_before} THEN source_rejections.since ELSE EXCLUDED.since END,
                run_id = CASE WHEN EXCLUDED.run_id IS NOT NULL
                         THEN coalesce(source_rejections.run_id, EXCLUDED.run_id) END
            WHERE NOT ({as_before}) OR (source_rejections.run_id IS NULL) <> (EXCLUDED.run_id IS NULL)""",
            {"run_id": run_id},
        )

    def take_off_rejections(self, within: KeyRange) -> None:
        """Remove the rejections of rows that are sound now, in the transaction that takes those rows in."""
        is_sound = f"SELECT count(*) FROM {self._table} s WHERE s.source_key = r.source_key AND {IS_SOUND}"
        self._execute(
            f"""
            DELETE FROM source_rejections AS r
            WHERE r.source = :source AND {of_range(within, "r")} AND ({is_sound}) > 0""",
            range_parameters(within),
        )

    def ranges(self, rows: int) -> list[KeyRange]:
        """Split the rows to take in into ranges of `rows` rows, in key order."""
        found = self._connection.execute(
            text(f"""
                SELECT max(source_key) AS last, count(*) FILTER (WHERE {IS_SOUND}) AS sound,
                    count(outcome) FILTER (WHERE {IS_SOUND}) AS outcomes, count(reason) AS vanished
                FROM (SELECT source_key, outcome, reason, row_number() OVER (ORDER BY source_key) - 1 AS n
                      FROM {self._table} s WHERE NOT ({IS_REJECTED})) AS s
                GROUP BY n / :rows ORDER BY n / :rows"""),
            {"rows": rows},
        ).all()
        afters = ["", *(row.last for row in found)]
        return [KeyRange(after, *row) for after, row in zip(afters, found, strict=False)]

    def leave_out_forgotten(self, within: KeyRange | None, known: Forgotten) -> None:
        """Drop the rows of persons who were forgotten since the rows were staged."""
        found = self._connection.execute(
            text(f"SELECT source_key, person_key FROM {self._table} s WHERE {of_range(within)}"),
            range_parameters(within),
        ).all()
        keys, persons = [row[0] for row in found], [row[1] for row in found]
        theirs = known.among(self._source, keys, persons)
        gone = [{"key": key} for key, is_theirs in zip(keys, theirs, strict=True) if is_theirs]
        if gone:
            self._connection.execute(text(f"DELETE FROM {self._table} WHERE source_key = :key"), gone)

    def ids_kept_and_taken(self, within: KeyRange) -> list[int]:
        """Ids that the keys of staged rows once had and that belong to other rows now."""
        differs = any_differs(("source", "source_key"), "p", self._database.differs, "k")
        return self._numbers(
            f"""SELECT p.id FROM {self._table} s JOIN row_keys k ON k.source = s.source AND k.source_key = s.source_key
            JOIN patients p ON p.id = k.patient_id
            WHERE {of_range(within)} AND ({differs}) ORDER BY p.id""",
            range_parameters(within),
        )


def _known(feature: Feature) -> str:
    name = column(feature.name, "p")
    return f"nullif({name}, 0)" if feature.zero_is_missing else name


def count_outcomes(connection: Connection, source: str) -> int:
    """Count the rows of a source that have an outcome."""
    statement = text("SELECT count(outcome) FROM patients WHERE source = :source AND source_key IS NOT NULL")
    return int(connection.execute(statement, {"source": source}).scalar_one())
