"""Loading files of patients into the database: all lines or none, unless `partial`."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine

from pima.core.declared.features import Declaration
from pima.core.declared.identifiers import (
    FORGOTTEN,
    Forgotten,
    key_of_text,
    name_of_id,
    name_of_key,
    name_of_person,
)
from pima.core.rows.mapping import Block
from pima.errors import FileLoadedBefore
from pima.intake.files.bad_lines import BrokenRule, broken_rules_of, report
from pima.intake.files.opened_file import readable_again, refused
from pima.intake.files.patient_file import (
    KeyTypes,
    PatientFile,
    open_patient_file,
    persons_not_texts,
)
from pima.intake.raw_rows import BadLine
from pima.logs import get_logger
from pima.runs.recorded_run import INLINED, as_json
from pima.store.database import database_of
from pima.store.engine import without_time_limit, writing
from pima.store.models.registry import require_still_declared
from pima.store.rows import arrivals
from pima.store.rows.arrivals import StagedFile, Taken
from pima.store.rows.contested import Done, told_as_contested, until_free
from pima.store.rows.erasing import everyone_forgotten

LINES_REPORTED = 20


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options of a load."""

    partial: bool = False
    """Load the good lines and report the bad ones."""
    again: bool = False
    """Load a file without ids a second time."""
    ignored: tuple[str, ...] = ()
    """Names of columns to leave out of each file."""
    key_types: KeyTypes = field(default_factory=dict)
    """The key types of the declared sources."""


@dataclass(frozen=True, slots=True)
class LineInFile:
    """A bad line, with its file."""

    file: str
    """The file's name."""
    line: BadLine = field(metadata=INLINED)


@dataclass(frozen=True, slots=True)
class RuleInFile:
    """The bad lines of one file that broke the same rule."""

    file: str
    """The file's name."""
    rule: BrokenRule = field(metadata=INLINED)
    text: str
    """The rule for people."""


@dataclass(frozen=True, slots=True)
class LoadResult:
    """The counts of the lines, and the bad ones; the fields are the keys of the JSON."""

    files: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    refused_by_reason: Mapping[str, int] = field(default_factory=dict)
    bad_lines: tuple[LineInFile, ...] = ()
    """The first bad lines of each file."""
    broken_rules: tuple[RuleInFile, ...] = ()
    """All bad lines of each file, by reason and column."""
    partly_loaded: tuple[str, ...] = ()
    """Files without ids of which some lines were loaded and some refused: loading one again would
    duplicate rows."""
    unknown_taken: Mapping[str, int] = field(default_factory=dict)
    """Unrecognised values that were read as the feature's `unknown` says, by feature."""

    def with_file(self, file: PatientFile, loaded: Taken, bad: Sequence[BadLine]) -> "LoadResult":
        """Add one more file, and its bad lines."""
        name = file.name
        by_reason = Counter(self.refused_by_reason) + Counter(line.reason for line in bad)
        first = sorted(bad, key=lambda line: line.line)[:LINES_REPORTED]
        rules = broken_rules_of(bad, file.declaration.arriving)
        partly = self.partly_loaded
        # Lines of forgotten people are not to be loaded later either.
        to_correct = any(line.reason != FORGOTTEN for line in bad)
        if to_correct and loaded.inserted > 0 and file.called_by is None:
            partly += (name,)
        return LoadResult(
            self.files + 1,
            self.inserted + loaded.inserted,
            self.updated + loaded.updated,
            self.unchanged + loaded.unchanged,
            self.refused + len(bad),
            dict(sorted(by_reason.items())),
            self.bad_lines + tuple(LineInFile(name, line) for line in first),
            self.broken_rules + tuple(RuleInFile(name, rule, str(rule)) for rule in rules),
            partly,
            dict(sorted((Counter(self.unknown_taken) + file.tally.unknown).items())),
        )


def load_files(
    engine: Engine, paths: list[Path], options: LoadOptions, declared: Declaration
) -> LoadResult:
    """Load files in one transaction. Raises FileRefused, FileLoadedBefore, DeclarationChanged or
    RowsContested; then nothing is loaded."""
    result = LoadResult()
    read = partial(
        open_patient_file,
        declaration=declared,
        ignored=options.ignored,
        key_types=options.key_types,
    )
    with ExitStack() as copies:
        files = [read(copies.enter_context(readable_again(path, read))) for path in paths]
        with writing(engine) as connection:
            without_time_limit(connection)
            database_of(connection).wait_for_other_loads(connection)
            # A pipe may have been read for hours since the settings were compared.
            require_still_declared(connection, declared.arriving)
            for file in files:
                result = result.with_file(file, *_load_file(connection, file, options))
    counts = as_json(result)
    told = {
        name: counts[name]
        for name in counts
        if name not in ("bad_lines", "broken_rules", "partly_loaded")
    }
    get_logger().info("files loaded", **told)
    return result


def _load_file(
    connection: Connection, file: PatientFile, options: LoadOptions
) -> tuple[Taken, list[BadLine]]:
    """Load one file; return the counts of its good lines, and its bad lines."""
    _refuse_second_time(connection, file, options)
    columns = tuple(name for name in file.columns if name != "id")
    staging = StagedFile(connection, columns, file.called_by)
    staging.make()
    bad, forgotten = _stage(connection, staging, file)
    called_again = staging.give_keys_back() if file.called_by == "source_key" else 0
    bad += _bad_among_staged(connection, staging, file)
    if file.called_by == "id" and "person_key" in file.columns:
        bad += _persons_misspelled(staging, options.key_types)
    # Lines of forgotten people are no fault of the file: the clinic may go on writing them into it.
    if bad and not options.partial:
        raise refused(file.name, report(bad, file.declaration.arriving))
    staging.drop_lines([line.line for line in bad])
    loaded = _unless_contested(connection, staging.take)
    again = min(called_again, loaded.unchanged)
    loaded = replace(loaded, updated=loaded.updated + again, unchanged=loaded.unchanged - again)
    staging.drop()
    arrivals.record_load(
        connection,
        file.sha256,
        Path(file.name).name,
        loaded.inserted + loaded.updated + loaded.unchanged,
    )
    return loaded, bad + forgotten


def _unless_contested(connection: Connection, attempt: Callable[[], Done]) -> Done:
    """Repeat an attempt until no one else holds the rows. Between two attempts no rows are held,
    and what was staged of the file stays. Raises RowsContested."""
    if database_of(connection).is_a_file:
        return attempt()

    def attempt_and_give_back() -> Done:
        with connection.begin_nested(), told_as_contested(connection):
            return attempt()

    return until_free(attempt_and_give_back, time.sleep)


def _refuse_second_time(connection: Connection, file: PatientFile, options: LoadOptions) -> None:
    """Refuse a file without ids or keys that was loaded before: it would double the history."""
    if file.called_by or options.again:
        return
    loaded_at = arrivals.earlier_load(connection, file.sha256)
    if loaded_at is not None:
        raise FileLoadedBefore(file=file.name, loaded_at=f"{loaded_at:%Y-%m-%d}")


def _stage(
    connection: Connection, staging: StagedFile, file: PatientFile
) -> tuple[list[BadLine], list[BadLine]]:
    """Stage the good lines; return the bad ones, and those of people who were forgotten."""
    known = everyone_forgotten(connection)
    bad = list[BadLine]()
    forgotten = list[BadLine]()
    lines = 0
    for block, not_rows in file.blocks():
        rows, left_out = _without_forgotten(block, known)
        staging.append(rows, "line")
        bad += not_rows
        forgotten += left_out
        lines += len(block) + len(not_rows)
    if lines == 0:
        raise refused(file.name, "It has column names but no rows (empty_file).")
    return bad, forgotten


def _without_forgotten(block: Block, known: Forgotten) -> tuple[Block, list[BadLine]]:
    """Separate the rows of a block from the lines of people who were forgotten."""
    if not known or not len(block):
        return block, []
    theirs: dict[int, str] = {}
    for column in ("id", "source_key", "person_key"):
        if column in block:
            for line, name in zip(block.index, _names(block, column), strict=True):
                if name is not None and known.has(name):
                    theirs.setdefault(int(line), column)
    bad = [BadLine(line, FORGOTTEN, column) for line, column in theirs.items()]
    return block.drop(index=list(theirs)), bad


def _names(block: Block, column: str) -> list[str | None]:
    """The name of each row in a column, in the form that marks are made of; None where it has
    none."""
    values = block[column].astype(object).where(block[column].notna(), None).tolist()
    if column == "id":
        return [name_of_id(value) for value in values]
    if column == "source_key":
        return [name_of_key(*each) for each in zip(block["source"], values, strict=True)]
    return [None if value is None else name_of_person(value) for value in values]


def _persons_misspelled(staging: StagedFile, key_types: KeyTypes) -> list[BadLine]:
    """Find the person keys beside an id, in a file that names no source, that are not spelled as in
    the source that the row came from."""
    types = persons_not_texts(key_types)
    called = staging.persons_of_sources(list(types)) if types else []
    bad = [line for line, source, said in called if key_of_text(said, types[source]) != said]
    return [BadLine(line, "bad_person_key", "person_key") for line in bad]


def _bad_among_staged(
    connection: Connection, staging: StagedFile, file: PatientFile
) -> list[BadLine]:
    """Find the bad lines that only the whole file and the database together can show."""
    column = file.called_by
    if column is None:
        return []
    # No known patient may be deleted before the file is taken in: an outcome alone would recreate
    # the row.
    _unless_contested(connection, staging.keep_known)
    bad = [BadLine(line, f"duplicate_{column}", column) for line in staging.lines_repeated()]
    if file.absent_measurements:
        seen = {line.line for line in bad}
        unknown = [line for line in staging.lines_unknown() if line not in seen]
        bad += [
            BadLine(line, "new_patient_without_measurements", file.absent_measurements[0])
            for line in unknown
        ]
    return bad
