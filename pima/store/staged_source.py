"""The rows of a source, staged: compared with ours, judged as a whole, and taken in by ranges of their keys."""

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
    """What staged rows of a source differ by from ours."""

    ours: int
    """Rows that we have of what was compared."""
    ours_in_all: int
    """Rows that we have of the source."""
    outcomes_known: int
    """Of them those whose outcome we know."""
    missing: Counter[str]
    """Of them those that lack a feature."""
    new: int
    changed: int
    unchanged: int
    vanished: int
    outcomes: OutcomesChanged

    def __add__(self, other: "Comparison") -> "Comparison":
        """Of two ranges together."""
        return Comparison(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))


_BEHIND_ALL = "\U0010ffff"
"""Behind all keys."""


class StagedSource(Staging):
    """The rows of a source, by key; and all of its keys, where a part of its rows is staged."""

    @property
    def _keys(self) -> str:
        return f"{self._table}_keys"

    def make(self) -> None:
        """Make both tables, empty."""
        super().make()
        self._execute(f"CREATE TEMPORARY TABLE {self._keys} (source_key {Key().compile(self._connection.dialect)})")

    def drop(self) -> None:
        """Leave nothing of either table."""
        super().drop()
        self._execute(f"DROP TABLE IF EXISTS {self._keys}")

    def repeated_keys(self) -> int:
        """How many rows have a key that another one has, too; where none has, the keys have an index from now on."""
        try:
            with self._connection.begin_nested():
                self._database.index_staged(self._connection, self._table)
        except IntegrityError:
            return self._count(f"SELECT count(*) - count(DISTINCT source_key) FROM {self._table}")
        return 0

    def append_keys(self, keys: Sequence[str]) -> None:
        """Add keys that the source has, of which only what has changed is staged."""
        if keys:
            self._database.append_frame(self._connection, self._keys, pd.DataFrame({"source_key": keys}, dtype=object))

    def ranges_to_compare(self, whole: bool, rows: int) -> list[KeyRange]:
        """Ranges of all keys that there are, each to be compared in a transaction of its own. They have so many keys
        where whoever reads keeps others from committing."""
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
        """Compare what is staged in a range with our rows of the source, and leave out what is the same. Which of ours
        have vanished is told by all keys of the source: those of the `whole`, or else those that were staged apart."""
        here = range_parameters(within)
        ours_here = f"p.source = :source AND {of_range(within, 'p')}"
        staged_here = f"{IS_SOUND} AND {of_range(within)}"
        rows = f"{self._table} s JOIN patients p ON {self._same} WHERE {of_range(within)}"
        lacking = "".join(f", count(*) - count({_known(feature)})" for feature in features)
        compared = f"patients p WHERE {ours_here}" if whole else rows
        ours, known, *missing = self._one(f"SELECT count(*), count(p.outcome){lacking} FROM {compared}", here)
        in_all = ours if whole else self._count(f"SELECT count(*) FROM patients p WHERE {ours_here}", here)
        vanished = self._vanished(within, self._table if whole else self._keys, deletes)
        # What was rejected before stays until that is taken off it. By EXCEPT: it takes no join, of which the planner
        # may know too little.
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

    def write_rejections(self, whole: bool) -> None:
        """Put down what was rejected, and take off what the source has no more; of the forgotten nothing stays."""
        keys, forgotten = self._table if whole else self._keys, f"s.reason = '{FORGOTTEN}'"
        is_there = f"SELECT count(*) FROM {keys} s WHERE s.source_key = r.source_key"
        if whole:
            is_there += f" AND coalesce(s.reason, '') <> '{VANISHED}'"
        is_theirs = f"SELECT count(*) FROM {self._table} s WHERE s.source_key = r.source_key AND {forgotten}"
        # As values they are looked up for each row: joins of a table that has just grown may be any.
        self._execute(f"""
            DELETE FROM source_rejections AS r
            WHERE r.source = :source AND (({is_there}) = 0 OR ({is_theirs}) > 0)""")
        self._execute(f"""
            INSERT INTO source_rejections (source, source_key, reason, field)
            SELECT :source, s.source_key, s.reason, s.field FROM {self._table} s
            WHERE {IS_REJECTED} AND NOT ({forgotten})
            ON CONFLICT (source, source_key) DO UPDATE
            SET reason = EXCLUDED.reason, field = EXCLUDED.field, since = EXCLUDED.since
            WHERE (source_rejections.reason, source_rejections.field) <> (EXCLUDED.reason, EXCLUDED.field)""")

    def take_off_rejections(self, within: KeyRange) -> None:
        """Take off what is sound by now, with the transaction that takes it in."""
        is_sound = f"SELECT count(*) FROM {self._table} s WHERE s.source_key = r.source_key AND {IS_SOUND}"
        self._execute(
            f"""
            DELETE FROM source_rejections AS r
            WHERE r.source = :source AND {of_range(within, "r")} AND ({is_sound}) > 0""",
            range_parameters(within),
        )

    def ranges(self, rows: int) -> list[KeyRange]:
        """What is to be taken in, so many rows at a time, in the order of the keys."""
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
        """Leave out who was forgotten since the rows were staged."""
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
        """Ids that keys of staged rows had and that are other rows' by now."""
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
    """How many rows of a source there are whose outcome is known."""
    statement = text("SELECT count(outcome) FROM patients WHERE source = :source AND source_key IS NOT NULL")
    return int(connection.execute(statement, {"source": source}).scalar_one())
