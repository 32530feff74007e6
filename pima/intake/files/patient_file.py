"""Patient files of any kind: the columns of one, and its rows block by block, so that memory does
not grow."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from pima.core.arrays import BoolArray
from pima.core.declared.columns import TIMES, of_kind
from pima.core.declared.features import Declaration, names_of
from pima.core.declared.identifiers import LARGEST_GIVEN_ID, key_of_text
from pima.core.declared.source import KeyType, MappedColumn, Source
from pima.core.rows.cells import objects_of, outcomes
from pima.core.rows.mapping import BAD_OUTCOME, Block, SourceTally, first_faults, mark, measurements
from pima.intake.files import csv_file, parquet_file
from pima.intake.files.header import Header
from pima.intake.files.opened_file import OpenedFile, file_hash, is_parquet, refused
from pima.intake.moments import moments
from pima.intake.raw_rows import BadLine, RawBlock
from pima.store.rows.arrivals import Match

KeyTypes = Mapping[tuple[str, str], tuple[KeyType, ...]]
"""The types of a key, by source and by `source_key` or `person_key`; text for a source that is not
listed."""

ALL_TEXT: KeyTypes = MappingProxyType({})
_TEXT: tuple[KeyType, ...] = ("text",)


@dataclass(frozen=True, slots=True)
class PatientFile:
    """A file whose columns are known and whose rows are still to be read."""

    name: str
    sha256: str
    """The hash by which it is recognised: `pima.intake.files.opened_file.file_hash`."""
    declaration: Declaration
    header: Header
    read: Callable[[], Iterator[RawBlock]]
    key_types: KeyTypes
    tally: SourceTally

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that the file has, of `id`, the keys, features and scores, `outcome` and the
        moments, in its order."""
        return self.header.columns

    @property
    def called_by(self) -> Match:
        """The column that identifies each row; None if every row is a new patient."""
        if "id" in self.columns:
            return "id"
        return "source_key" if "source_key" in self.columns else None

    @property
    def absent_measurements(self) -> tuple[str, ...]:
        """Columns without which a row can't be a new patient."""
        return tuple(name for name in self.declaration.names if name not in self.columns)

    def blocks(self) -> Iterator[tuple[Block, list[BadLine]]]:
        """Yield the rows under the declared names, by line, mapped and judged; with each block its
        bad lines."""
        for raw in self.read():
            block = self._mapped(raw.rows)
            is_bad = (block["reason"] != "").to_numpy()
            told = block.loc[is_bad, ["reason", "field"]].itertuples(name=None)
            bad = raw.bad + [BadLine(*line) for line in told]
            yield (
                block[~is_bad].drop(columns=["reason", "field"]),
                sorted(bad, key=lambda line: line.line),
            )

    def _mapped(self, raw: pd.DataFrame) -> Block:
        at = {name: raw[n] for name, n in zip(self.columns, raw.columns, strict=True)}
        features = tuple(feature for feature in self.declaration.arriving if feature.name in at)
        names = names_of(features)
        how = [MappedColumn(name) for name in names]
        read = [at[name] for name in names]
        values, faults = measurements(features, how, read, len(raw), self.tally)
        block = pd.DataFrame(values, columns=names, index=raw.index)
        block["reason"], block["field"] = first_faults(faults, features)
        if "outcome" in at:
            cells = outcomes({}, at["outcome"])
            block["outcome"] = pd.Series(cells.values, index=raw.index).astype("Int64")
            mark(block, cells.faults != 0, BAD_OUTCOME, "outcome")
        for name, called in TIMES.items():
            if name in at:
                found = moments(objects_of(at[name]), ZoneInfo("UTC"))
                block[name] = found.milliseconds.set_axis(raw.index)
                mark(block, found.unreadable, f"bad_{called}", called)
        if "labelled_at" in at:
            block["labelled_at"] = block["labelled_at"].mask(block["outcome"].isna())
        # A row that can't be called is told as that, whatever else is wrong with it.
        if "id" in at:
            ids = list(map(_id, objects_of(at["id"])))
            block["id"] = pd.array(ids, dtype="Int64")
            is_bad = np.array([each is None for each in ids], bool)
            block.loc[is_bad, ["reason", "field"]] = "bad_id", "id"
        has_bad_key = np.zeros(len(raw), bool)
        for name in of_kind("key"):
            if name in at:
                keys, is_bad = self._keys(name, at)
                block[name] = pd.Series(keys, index=raw.index, dtype=object)
                block.loc[is_bad & ~has_bad_key, ["reason", "field"]] = f"bad_{name}", name
                has_bad_key |= is_bad
        return block

    def _keys(self, name: str, at: Mapping[str, pd.Series]) -> tuple[list[str | None], BoolArray]:
        """Read a column of keys as the tables have them; also tell which are bad, (n,)."""
        cells = [cell or "" for cell in objects_of(at[name])]
        sources = objects_of(at["source"]) if "source" in at else [""] * len(cells)
        types = [self.key_types.get((source or "", name), _TEXT) for source in sources]
        keys = [_canonical(name, *each) for each in zip(cells, types, strict=True)]
        may_lack = name == "person_key"
        bad = [
            key is None and not (may_lack and cell == "")
            for key, cell in zip(keys, cells, strict=True)
        ]
        return keys, np.array(bad, bool)


def _id(value: Any) -> int | None:
    """Read an id with all its digits, which a float would lose; None if it is none."""
    found = 0
    if isinstance(value, str):
        stripped = value.strip()
        if stripped.isdigit() and stripped.isascii() and len(stripped) < 20:
            found = int(stripped)
    elif isinstance(value, float):
        # A column of ids with a gap comes as floats from some writers.
        found = int(value) if value.is_integer() and value < 2**53 else 0
    else:
        found = value or 0
    return found if 0 < found <= LARGEST_GIVEN_ID else None


def _canonical(name: str, cell: str, types: tuple[KeyType, ...]) -> str | None:
    if name == "source":
        return cell if re.fullmatch(r"[a-z][a-z0-9_]{0,29}", cell) else None
    return key_of_text(cell, types)


def declared_key_types(sources: Sequence[Source]) -> KeyTypes:
    """The key types that the settings declare, so that a pull and a file give a row the same
    key."""
    found = {(source.name, "source_key"): source.key_types for source in sources}
    return found | {
        (source.name, "person_key"): source.person_types for source in sources if source.persons
    }


def persons_not_texts(key_types: KeyTypes) -> Mapping[str, tuple[KeyType, ...]]:
    """The sources whose person keys are not plain text, with their types."""
    return {
        name: types
        for (name, key), types in key_types.items()
        if key == "person_key" and types != _TEXT
    }


def open_patient_file(
    file: OpenedFile,
    declaration: Declaration,
    ignored: Sequence[str] = (),
    key_types: KeyTypes = ALL_TEXT,
) -> PatientFile:
    """Find out the kind of a file, and its columns. Raises FileRefused."""
    is_text = not is_parquet(file, "rows of patients")
    with file.path.open("rb") as content:
        sha256 = file_hash(content, is_text)
    open_kind = csv_file.open_csv if is_text else parquet_file.open_parquet
    header, read = open_kind(file, declaration, ignored)
    found = PatientFile(file.name, sha256, declaration, header, read, key_types, SourceTally())
    if fault := _fault_of_keys(set(found.columns)) or _fault_of_times(found):
        raise refused(file.name, fault)
    if found.called_by is None and found.absent_measurements:
        absent = ", ".join(found.absent_measurements)
        raise refused(
            file.name,
            f"Without an id column every row is a new patient, and these are missing: {absent}.",
        )
    return found


def _fault_of_times(file: PatientFile) -> str | None:
    """Describe why its outcomes and their times don't go together; None if they do."""
    has_outcome = "outcome" in file.columns
    if "labelled_at" in file.columns and not has_outcome:
        return "It has outcome_at without outcome (needed_column). Expected both."
    # A history with its measurements may have no such times, and nobody has acted on it.
    matters = file.declaration.outcome.if_acted == "unknown" and file.absent_measurements
    if has_outcome and matters and "labelled_at" not in file.columns:
        return (
            'It has outcomes without outcome_at (needed_column), and outcome.if_acted is "unknown".'
            " Expected when each became known, too: without it an action after the event looks "
            "like one before it."
        )
    return None


def _fault_of_keys(columns: Set[str]) -> str | None:
    """Describe what is wrong with the columns that identify rows; None if nothing is."""
    if columns in ({"id"}, {"source", "source_key"}):
        return "It has ids or keys and nothing else. Expected outcomes or measurements beside them."
    named = columns & {"source", "source_key"}
    if "id" in columns and named:
        return (
            f"It has id and {min(named)} (two_keys). Expected one of the two: --ignore and its "
            "name leave one out."
        )
    if len(named) == 1:
        other = ({"source", "source_key"} - named).pop()
        return (
            f"It has {min(named)} without {other} (half_a_key). Expected both: a key is that of a "
            f"row in one source. --ignore {min(named)} leaves it out."
        )
    return None
