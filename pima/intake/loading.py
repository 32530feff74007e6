"""Taking files of patients into the database: all of it or nothing, unless `partial`."""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from sqlalchemy import Connection, Engine

from pima.core.features import Declaration
from pima.core.identifiers import FORGOTTEN, key_of_text, name_of_person
from pima.errors import FileLoadedBefore
from pima.intake.bad_lines import BrokenRule, broken_rules_of, report
from pima.intake.contested import Done, until_free
from pima.intake.files import PatientFile, open_patient_file
from pima.intake.forgotten_rows import without_forgotten
from pima.intake.key_cells import KeyTypes, persons_not_texts
from pima.intake.patient_rows import BadLine
from pima.intake.sources import readable_again, refused
from pima.logs import get_logger
from pima.process.recorded_run import INLINED, as_json
from pima.store import patients
from pima.store.contested import told_as_contested
from pima.store.database import database_of
from pima.store.engine import without_time_limit, writing
from pima.store.forgotten import everyone_forgotten
from pima.store.registry import require_still_declared

LINES_REPORTED = 20

Progress = Callable[[str, int], None]
"""Called with a file's name and the number of its lines read so far."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """How to read the files, and what to do with doubtful ones."""

    partial: bool = False
    """Load the good lines and report the bad ones."""
    again: bool = False
    """Take a file without ids a second time."""
    ignored: tuple[str, ...] = ()
    """Names of columns to leave out of each file."""
    key_types: KeyTypes = field(default_factory=dict)
    """Of the declared sources."""


@dataclass(frozen=True, slots=True)
class LineInFile:
    """A bad line."""

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
    """What became of the lines; the fields are the keys of the JSON."""

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
    """Files without ids of which some lines are in and some were refused: loaded anew, they would be in twice."""

    def with_file(self, file: PatientFile, loaded: patients.Loaded, bad: Sequence[BadLine]) -> "LoadResult":
        """With one file more, and its bad lines."""
        name = file.name
        by_reason = Counter(self.refused_by_reason) + Counter(line.reason for line in bad)
        first = sorted(bad, key=lambda line: line.line)[:LINES_REPORTED]
        rules = broken_rules_of(bad, file.declaration.features)
        # Who was forgotten is not to be loaded later either.
        to_correct = any(line.reason != FORGOTTEN for line in bad)
        is_partly_loaded = to_correct and loaded.inserted > 0 and file.called_by is None
        return LoadResult(
            self.files + 1,
            self.inserted + loaded.inserted,
            self.updated + loaded.updated,
            self.unchanged + loaded.unchanged,
            self.refused + len(bad),
            dict(sorted(by_reason.items())),
            self.bad_lines + tuple(LineInFile(name, line) for line in first),
            self.broken_rules + tuple(RuleInFile(name, rule, str(rule)) for rule in rules),
            self.partly_loaded + ((name,) if is_partly_loaded else ()),
        )


def load_files(
    engine: Engine, paths: list[Path], options: LoadOptions, declared: Declaration, progress: Progress
) -> LoadResult:
    """Load files in one transaction. Raises FileRefused, FileLoadedBefore, DeclarationChanged or RowsContested, nothing
    loaded."""
    result = LoadResult()
    with ExitStack() as copies:
        sources = [copies.enter_context(readable_again(path)) for path in paths]
        files = [open_patient_file(source, declared, options.ignored, options.key_types) for source in sources]
        with writing(engine) as connection:
            without_time_limit(connection)
            patients.only_one_load(connection)
            # A pipe may have been read for hours since the settings were compared.
            require_still_declared(connection, declared.features)
            for file in files:
                result = result.with_file(file, *_load_file(connection, file, options, progress))
    counts = as_json(result)
    told = {name: counts[name] for name in counts if name not in ("bad_lines", "broken_rules", "partly_loaded")}
    get_logger().info("files loaded", **told)
    return result


def _load_file(
    connection: Connection, file: PatientFile, options: LoadOptions, progress: Progress
) -> tuple[patients.Loaded, list[BadLine]]:
    """What its good lines became, and its bad lines."""
    _refuse_second_time(connection, file, options)
    bad, forgotten = _stage(connection, file, progress)
    bad += _bad_among_staged(connection, file)
    # Who was forgotten is no fault of the file's, which the clinic may go on to write with their lines.
    named = list[BadLine]()
    if file.called_by == "id" and "person_key" in file.keys:
        misspelled, named = _persons_of_rows(connection, options.key_types)
        bad += misspelled
    if bad and not options.partial:
        raise refused(file.name, report(bad, file.declaration.features))
    patients.drop_staged(connection, [line.line for line in bad + named])
    columns = tuple(name for name in file.columns if name != "id")
    loaded = _taken(connection, file, columns)
    rows = loaded.inserted + loaded.updated + loaded.unchanged
    patients.record_load(connection, file.sha256, Path(file.name).name, rows)
    return loaded, bad + forgotten + named


def _taken(connection: Connection, file: PatientFile, columns: tuple[str, ...]) -> patients.Loaded:
    def pause(seconds: float) -> None:
        time.sleep(seconds)
        if file.called_by == "source_key":
            # Who has written a key meanwhile has given it an id.
            patients.give_ids(connection)

    return _unless_contested(connection, partial(patients.take_staged, connection, columns), pause)


def _unless_contested(connection: Connection, attempt: Callable[[], Done], pause: Callable[[float], None]) -> Done:
    """What comes of it once nobody else holds the rows: nothing of it is held between two tries, and what was read of
    the file is there still. Raises RowsContested."""
    if database_of(connection).has_one_writer:
        return attempt()

    def attempt_and_give_back() -> Done:
        with connection.begin_nested(), told_as_contested(connection):
            return attempt()

    return until_free(attempt_and_give_back, pause)


def _refuse_second_time(connection: Connection, file: PatientFile, options: LoadOptions) -> None:
    """A file with ids or keys is an update the second time; one without would double the history."""
    if file.called_by or options.again:
        return
    loaded_at = patients.earlier_load(connection, file.sha256)
    if loaded_at is not None:
        raise FileLoadedBefore(file=file.name, loaded_at=f"{loaded_at:%Y-%m-%d}")


def _stage(connection: Connection, file: PatientFile, progress: Progress) -> tuple[list[BadLine], list[BadLine]]:
    """The bad lines, and those of people who were forgotten."""
    names = file.declaration.names
    patients.make_staging(connection, names, file.keys)
    known = everyone_forgotten(connection)
    bad: list[BadLine] = []
    forgotten: list[BadLine] = []
    lines = 0
    for block in file.blocks():
        rows, left_out = without_forgotten(block.rows, file.keys, known)
        if rows:
            patients.stage(connection, names, rows, file.keys)
        bad += block.bad
        forgotten += left_out
        lines += len(block.rows) + len(block.bad)
        progress(file.name, lines)
    if lines == 0:
        raise refused(file.name, "It has column names but no rows (empty_file).")
    return bad, forgotten


def _persons_of_rows(connection: Connection, key_types: KeyTypes) -> tuple[list[BadLine], list[BadLine]]:
    """Read the persons beside an id by the type that its row's source has for them, since the file names no source; the
    bad lines, and those of people who turn out to have been forgotten."""
    types = persons_not_texts(key_types)
    if not types:
        return [], []
    known = everyone_forgotten(connection)
    bad, forgotten, others = list[BadLine](), list[BadLine](), dict[int, str]()
    for line, source, said in patients.persons_of_sources(connection, list(types)):
        person = key_of_text(said, types[source])
        if person is None:
            bad.append(BadLine(line, "bad_person_key", "person_key"))
        elif known and known.has(name_of_person(person)):
            forgotten.append(BadLine(line, FORGOTTEN, "person_key"))
        elif person != said:
            others[line] = person
    patients.name_persons(connection, others)
    return bad, forgotten


def _bad_among_staged(connection: Connection, file: PatientFile) -> list[BadLine]:
    """What only the whole file and the database together can tell."""
    column = file.called_by
    if column is None:
        return []
    if column == "source_key":
        patients.give_ids(connection)
    # Who is deleted while the file is read is no known patient: its outcome alone would make it one again.
    _unless_contested(connection, partial(patients.keep_known, connection), time.sleep)
    # A line without a key was not even staged.
    lacking = patients.lines_without_id(connection) if column == "id" else []
    bad = [BadLine(line, "bad_id", "id") for line in lacking]
    bad += [BadLine(line, f"duplicate_{column}", column) for line in patients.repeated(connection, column)]
    if file.absent_measurements:
        seen = {line.line for line in bad}
        unknown = [line for line in patients.unknown_lines(connection) if line not in seen]
        bad += [BadLine(line, "new_patient_without_measurements", file.absent_measurements[0]) for line in unknown]
    return bad
