"""Taking files of patients into the database: all of it or nothing, unless `partial`."""

from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine

from pima.errors import FileLoadedBefore
from pima.intake.bad_lines import broken_rules_of, report
from pima.intake.files import PatientFile, open_patient_file
from pima.intake.patient_rows import BadLine
from pima.intake.sources import readable_again, refused
from pima.logs import get_logger
from pima.store import patients
from pima.store.engine import without_time_limit, writing

LINES_REPORTED = 20

Progress = Callable[[str, int], None]
"""Called with a file's name and the number of its lines read so far."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What to do with doubtful files."""

    partial: bool = False
    """Load the good lines and report the bad ones."""
    again: bool = False
    """Take a file without ids a second time."""
    ignored: tuple[str, ...] = ()
    """Names of columns to leave out of each file."""


@dataclass(slots=True)
class LoadCounts:
    """What became of the lines."""

    files: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    refused_by_reason: Counter[str] = field(default_factory=Counter)
    bad_lines: list[dict[str, Any]] = field(default_factory=list)
    """The first bad lines of each file."""
    broken_rules: list[dict[str, Any]] = field(default_factory=list)
    """All bad lines of each file, by reason and column."""

    def as_counts(self) -> dict[str, Any]:
        """As it stands in the JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__} | {
            "refused_by_reason": dict(sorted(self.refused_by_reason.items()))
        }


def load_files(engine: Engine, paths: list[Path], options: LoadOptions, progress: Progress) -> LoadCounts:
    """Load files in one transaction. Raises FileRefused or FileLoadedBefore, nothing loaded."""
    with ExitStack() as copies:
        files = [open_patient_file(copies.enter_context(readable_again(path)), options.ignored) for path in paths]
        counts = LoadCounts(files=len(files))
        with writing(engine) as connection:
            without_time_limit(connection)
            patients.only_one_load(connection)
            for file in files:
                _load_file(connection, file, options, counts, progress)
    told = {name: count for name, count in counts.as_counts().items() if name not in ("bad_lines", "broken_rules")}
    get_logger().info("files loaded", **told)
    return counts


def _load_file(
    connection: Connection, file: PatientFile, options: LoadOptions, counts: LoadCounts, progress: Progress
) -> None:
    _refuse_second_time(connection, file, options)
    bad = _stage(connection, file, progress)
    bad += _bad_among_staged(connection, file)
    if bad and not options.partial:
        raise refused(file.name, report(bad))
    patients.drop_staged(connection, [line.line for line in bad])
    columns = tuple(name for name in file.columns if name != "id")
    loaded = patients.take_staged(connection, columns)
    rows = loaded.inserted + loaded.updated + loaded.unchanged
    patients.record_load(connection, file.sha256, file.name, rows)
    counts.inserted += loaded.inserted
    counts.updated += loaded.updated
    counts.unchanged += loaded.unchanged
    counts.refused += len(bad)
    counts.refused_by_reason.update(line.reason for line in bad)
    shown = sorted(bad, key=lambda line: line.line)[:LINES_REPORTED]
    counts.bad_lines += [{"file": file.name, "line": b.line, "reason": b.reason, "field": b.field} for b in shown]
    rules = broken_rules_of(bad)
    counts.broken_rules += [{"file": file.name, **asdict(rule), "text": str(rule)} for rule in rules]


def _refuse_second_time(connection: Connection, file: PatientFile, options: LoadOptions) -> None:
    """A file with ids is an update the second time; one without would double the history."""
    if file.has_ids or options.again:
        return
    loaded_at = patients.earlier_load(connection, file.sha256)
    if loaded_at is not None:
        raise FileLoadedBefore(file=file.name, loaded_at=f"{loaded_at:%Y-%m-%d}")


def _stage(connection: Connection, file: PatientFile, progress: Progress) -> list[BadLine]:
    patients.make_staging(connection)
    bad: list[BadLine] = []
    lines = 0
    for block in file.blocks():
        if block.rows:
            patients.stage(connection, block.rows)
        bad += block.bad
        lines += len(block.rows) + len(block.bad)
        progress(file.name, lines)
    if lines == 0:
        raise refused(file.name, "It has column names but no rows (empty_file).")
    return bad


def _bad_among_staged(connection: Connection, file: PatientFile) -> list[BadLine]:
    """What only the whole file and the database together can tell."""
    if not file.has_ids:
        return []
    bad = [BadLine(line, "bad_id", "id") for line in patients.lines_without_id(connection)]
    bad += [BadLine(line, "duplicate_id", "id") for line in patients.repeated_ids(connection)]
    if file.absent_measurements:
        seen = {line.line for line in bad}
        unknown = [line for line in patients.unknown_ids(connection) if line not in seen]
        bad += [BadLine(line, "new_patient_without_measurements", file.absent_measurements[0]) for line in unknown]
    return bad
