"""Staged rows of a source: compared with ours, judged as a whole, and taken in by ranges of
keys."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from sqlalchemy import text

from pima.core.declared.features import Feature, Features, names_of
from pima.core.declared.identifiers import FORGOTTEN, Forgotten
from pima.store.engine import any_differs, column, listed
from pima.store.rows.arrivals import (
    IS_REJECTED,
    IS_SOUND,
    OUTCOMES,
    VANISHED,
    KeyRange,
    OutcomesChanged,
    Staging,
    of_range,
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """How staged rows of a source differ from ours."""

    ours: int
    """Our rows among those compared."""
    ours_in_all: int
    """All our rows of the source."""
    outcomes_known: int
    """How many of them have an outcome."""
    missing: Counter[str]
    """How many of `ours` lack each feature."""
    new: int
    changed: int
    vanished: int
    before_person: int
    """Our rows, deleted ones included, that get a person, or another one, only now."""
    outcomes: OutcomesChanged

    def __add__(self, other: "Comparison") -> "Comparison":
        """Add the counts of two ranges."""
        return Comparison(
            *(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__)
        )


_REJECTED = "source_rejections r ON r.source = :source AND r.source_key = s.source_key"
_BEHIND_ALL = "\U0010ffff"
"""Sorts after all keys."""


class StagedSource(Staging):
    """The rows of a source by key: those to take in, those that were read, and all of its keys if
    only a part of its rows is read."""

    @property
    def _read(self) -> str:
        return f"{self._table}_read"

    @property
    def _keys(self) -> str:
        return f"{self._table}_keys"

    @property
    def _tables(self) -> tuple[str, ...]:
        return (self._table, self._keys, self._read)

    def repeated_keys(self) -> int:
        """Count the rows whose key an earlier row has."""
        self._database.join_by_merge(self._connection)
        (repeated,) = self._numbers(
            f"SELECT count(*) - count(DISTINCT source_key) FROM {self._read}"
        )
        return repeated

    def append_keys(self, keys: Sequence[str]) -> None:
        """Add keys of a source, if only its changed rows are read."""
        if keys:
            self._database.append_texts(self._connection, self._keys, "source_key", keys)

    def index(self) -> None:
        """Index the tables by key before they are compared; a server merges what was read, which
        needs no index."""
        for table in self._tables:
            if table == self._table or self._database.is_a_file:
                self._database.index_staged(self._connection, table)

    def ranges_to_compare(self, whole: bool, rows: int) -> list[KeyRange]:
        """Split all keys into ranges, each to be compared in its own transaction. On a file, where
        a reader keeps others from committing, a range has `rows` keys; on a server there is one
        range."""
        if not self._database.is_a_file:
            return [KeyRange("", _BEHIND_ALL, 0, 0, 0)]
        keys = self._read if whole else self._keys
        found = self._ask(
            f"""
            SELECT source_key
            FROM (SELECT source_key, row_number() OVER (ORDER BY source_key) AS n
                FROM {keys}) AS numbered
            WHERE n % :rows = 0 ORDER BY source_key""",
            rows=rows,
        )
        cuts = ["", *found.scalars(), _BEHIND_ALL]
        return [KeyRange(after, last, 0, 0, 0) for after, last in pairwise(cuts)]

    def compare(
        self, within: KeyRange, features: Features, whole: bool, deletes: bool
    ) -> Comparison:
        """Compare the rows of a range that were read with our rows of the source, and stage those
        to take in. All keys of the source tell which of our rows have vanished: those of the rows
        read if it is the `whole` source, else the separate keys."""
        if self._has_labelled_at:
            # An outcome that is held back is staged as a time alone: ours stays as it is until
            # then.
            outcome = f"(SELECT p.outcome FROM patients p WHERE {self._same})"
            held_back = f"s.outcome IS NULL AND s.labelled_at IS NOT NULL AND {of_range(within)}"
            statement = (
                f"UPDATE {self._read} AS s SET outcome = {outcome}, labelled_at = NULL WHERE "
                f"{held_back}"
            )
            self._execute(statement, within)
        read = f"(SELECT * FROM {self._read} s WHERE {of_range(within)}) AS s"
        ours = (
            f"(SELECT * FROM patients p WHERE p.source = :source AND {of_range(within, 'p')}) AS p"
        )
        lacking = "".join(f", count(*) - count({_known(feature)})" for feature in features)
        of_all = lacking if whole else ""
        in_all, known, *missing = self._one(
            f"SELECT count(*), count(p.outcome){of_all} FROM {ours}", within
        )
        compared = in_all
        # Both ways of joining need no statistics, which the planner lacks of tables that were just
        # filled.
        self._database.join_by_merge(self._connection)
        # SQLite does a full join without an index: a row would be compared with each of the other
        # side.
        at_once = whole and not self._database.is_a_file
        if at_once:
            self._stage(
                f"{read} LEFT JOIN {_REJECTED} FULL JOIN {ours} ON p.source_key = s.source_key",
                within,
            )
        else:
            keys = self._read if whole else self._keys
            self._execute(
                f"""
                INSERT INTO {self._table} (source_key, reason) SELECT p.source_key, '{VANISHED}'
                    FROM {ours}
                WHERE NOT EXISTS (SELECT 1 FROM {keys} k WHERE k.source_key = p.source_key)""",
                within,
            )
        self._database.join_by_index(self._connection)
        if not whole:
            both = f"{read} JOIN patients p ON {self._same}"
            compared, *missing = self._one(f"SELECT count(*){lacking} FROM {both}", within)
        if not at_once:
            self._stage(
                f"{read} LEFT JOIN {_REJECTED} LEFT JOIN patients p ON {self._same}", within
            )
        new, changed, before_person, *outcomes = self._one(
            f"""
            SELECT count(*) FILTER (WHERE p.id IS NULL),
                count(*) FILTER (WHERE p.id IS NOT NULL AND ({self._differs("p")})),
                count(coalesce(p.id, k.patient_id)) FILTER (
                    WHERE s.person_key <> coalesce(p.person_key, k.person_key, '')), {OUTCOMES}
            FROM {self._table} s LEFT JOIN patients p ON {self._same}
                LEFT JOIN row_keys k ON p.id IS NULL AND k.source = s.source
                    AND k.source_key = s.source_key
            WHERE {IS_SOUND} AND {of_range(within)}""",
            within,
        )
        gone = f"FROM {self._table} AS s WHERE s.reason = '{VANISHED}' AND {of_range(within)}"
        (vanished,) = self._numbers(f"SELECT count(*) {gone}", within)
        if not deletes:
            self._execute(f"DELETE {gone}", within)
        found = OutcomesChanged(*outcomes) if "outcome" in self._columns else OutcomesChanged()
        lacks = Counter(dict(zip(names_of(features), missing, strict=True)))
        return Comparison(
            compared, in_all, known, lacks, new, changed, vanished, before_person, found
        )

    def _stage(self, joined: str, within: KeyRange) -> None:
        """Stage the rows that differ from ours, that are rejected, or whose rejection is to be
        removed."""
        names = self._new_columns[2:]
        self._execute(
            f"""
            INSERT INTO {self._table} (source_key, {listed(names)}, reason, field)
            SELECT coalesce(s.source_key, p.source_key), {listed(names, "s")},
                CASE WHEN s.source_key IS NULL THEN '{VANISHED}' ELSE s.reason END, s.field
            FROM {joined}
            WHERE p.id IS NULL OR s.source_key IS NULL OR s.reason IS NOT NULL
                OR r.source_key IS NOT NULL
                OR {self._differs("p")}""",
            within,
        )

    def keys_of(self, source: str) -> tuple[int, int]:
        """How many of the staged rows have a key of that source's rows, and how many there are."""
        known, asked = self._one(
            f"""
            SELECT count(p.id), count(*)
            FROM {self._table} s LEFT JOIN patients p ON p.source = :former
                AND p.source_key = s.source_key
            WHERE {IS_SOUND}""",
            former=source,
        )
        return known, asked

    def write_rejections(self, whole: bool, run_id: int) -> None:
        """Record the rejected rows, and remove those that the source no longer has and those of
        forgotten persons."""
        forgotten = f"s.reason = '{FORGOTTEN}'"
        is_there = f"{self._keys} s WHERE s.source_key = r.source_key"
        if whole:
            is_there = (
                f"{self._table} s WHERE s.source_key = r.source_key AND coalesce(s.reason, '') <> "
                f"'{VANISHED}'"
            )
        is_theirs = f"{self._table} s WHERE s.source_key = r.source_key AND {forgotten}"
        self._database.join_by_merge(self._connection)
        for gone in (
            f"NOT EXISTS (SELECT 1 FROM {is_there})",
            f"EXISTS (SELECT 1 FROM {is_theirs})",
        ):
            self._execute(f"DELETE FROM source_rejections AS r WHERE r.source = :source AND {gone}")
        as_before = (
            "(source_rejections.reason, source_rejections.field) = (EXCLUDED.reason, "
            "EXCLUDED.field)"
        )
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
            WHERE NOT ({as_before})
                OR (source_rejections.run_id IS NULL) <> (EXCLUDED.run_id IS NULL)""",
            run_id=run_id,
        )

    def take_off_rejections(self, within: KeyRange) -> None:
        """Remove the rejections of rows that are sound now, in the transaction that takes those
        rows in."""
        is_sound = (
            f"SELECT count(*) FROM {self._table} s WHERE s.source_key = r.source_key AND {IS_SOUND}"
        )
        self._execute(
            f"""
            DELETE FROM source_rejections AS r
            WHERE r.source = :source AND {of_range(within, "r")} AND ({is_sound}) > 0""",
            within,
        )

    def ranges(self, rows: int) -> list[KeyRange]:
        """Split the rows to take in into ranges of `rows` rows, in key order."""
        found = self._ask(
            f"""
            SELECT max(source_key) AS last, count(*) FILTER (WHERE {IS_SOUND}) AS sound,
                count(outcome) FILTER (WHERE {IS_SOUND}) AS outcomes, count(reason) AS vanished
            FROM (SELECT source_key, outcome, reason,
                row_number() OVER (ORDER BY source_key) - 1 AS n
                  FROM {self._table} s WHERE NOT ({IS_REJECTED})) AS s
            GROUP BY n / :rows ORDER BY n / :rows""",
            rows=rows,
        ).all()
        afters = ["", *(row.last for row in found)]
        return [KeyRange(after, *row) for after, row in zip(afters, found, strict=False)]

    def leave_out_forgotten(self, within: KeyRange | None, known: Forgotten) -> None:
        """Drop the rows of persons who were forgotten since the rows were staged."""
        statement = f"SELECT source_key, person_key FROM {self._table} s WHERE {of_range(within)}"
        found = self._ask(statement, within).all()
        keys = [row.source_key for row in found]
        persons = [row.person_key for row in found]
        theirs = known.among(self._source, keys, persons)
        gone = [{"key": key} for key, is_theirs in zip(keys, theirs, strict=True) if is_theirs]
        if gone:
            self._connection.execute(
                text(f"DELETE FROM {self._table} WHERE source_key = :key"), gone
            )

    def ids_kept_and_taken(self, within: KeyRange) -> list[int]:
        """Ids that the keys of staged rows once had and that belong to other rows now."""
        differs = any_differs(("source", "source_key"), "p", self._database.differs, "k")
        return self._numbers(
            f"""SELECT p.id FROM {self._table} s JOIN row_keys k ON k.source = s.source
                AND k.source_key = s.source_key
            JOIN patients p ON p.id = k.patient_id
            WHERE {of_range(within)} AND ({differs}) ORDER BY p.id""",
            within,
        )


def _known(feature: Feature) -> str:
    name = column(feature.name, "p")
    return f"nullif({name}, 0)" if feature.zero_is_missing else name
