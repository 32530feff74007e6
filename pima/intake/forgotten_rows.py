"""Rows of people who were forgotten, left out wherever rows come in."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from pima.core.identifiers import FORGOTTEN, Forgotten, name_of_id, name_of_key, name_of_person
from pima.core.mapping import SourceRows, Tally
from pima.intake.patient_rows import BadLine, Row


def without_forgotten(rows: list[Row], keys: Sequence[str], known: Forgotten) -> tuple[list[Row], list[BadLine]]:
    """Rows of a file that has these keys, and the lines that are left out of them."""
    if not known:
        return rows, []
    kept, left_out = list[Row](), list[BadLine]()
    for row in rows:
        column = _forgotten_by(row, keys, known)
        if column is None:
            kept.append(row)
        else:
            left_out.append(BadLine(row[0], FORGOTTEN, column))
    return kept, left_out


def _forgotten_by(row: Row, keys: Sequence[str], known: Forgotten) -> str | None:
    """The column that tells whose the row is."""
    if row[1] is not None and known.has(name_of_id(row[1])):
        return "id"
    called = dict(zip(keys, row[len(row) - len(keys) :], strict=True))
    if called.get("source_key") is not None and known.has(name_of_key(called["source"], called["source_key"])):
        return "source_key"
    if called.get("person_key") is not None and known.has(name_of_person(called["person_key"])):
        return "person_key"
    return None


def rejecting_forgotten(source: str, rows: SourceRows, known: Forgotten, tally: Tally) -> SourceRows:
    """Rows of a source, those of people who were forgotten among the rejected ones, and counted."""
    if not known:
        return rows
    theirs = np.array(known.among(source, rows.keys, rows.persons), dtype=bool)
    tally.rejected[FORGOTTEN, "key"] += int(np.count_nonzero(theirs & ~rows.rejected))
    return replace(rows, rejected=rows.rejected | theirs)


def still_wanted(source: str, rows: SourceRows, known: Forgotten) -> SourceRows:
    """Without those who were forgotten since the rows were read."""
    theirs = known.among(source, rows.keys, rows.persons)
    return rows.only([n for n, is_theirs in enumerate(theirs) if not is_theirs]) if any(theirs) else rows
