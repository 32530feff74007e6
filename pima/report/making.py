"""Making a report, and keeping it: in a file, and after each retraining in the database and a
folder."""

import logging
from pathlib import Path

from sqlalchemy import Engine

from pima.errors import (
    ExtraMissing,
    FileNotWritten,
    NoReportKept,
    PimaError,
    WrongUsage,
    extra_missing,
)
from pima.logs import get_logger
from pima.report.contents import gather
from pima.runs.recorded_run import OpenRun
from pima.runs.whole_file import remove_halves, written_aside
from pima.settings.sections import Settings
from pima.store.engine import reading, writing
from pima.store.service import report_figures
from pima.store.service.monitoring import REPORT_ERROR

KEPT = 4
"""The number of reports that stay in the database: a month of weekly ones."""
FILE_NAME = "pima-report.html"


def make_report(engine: Engine, settings: Settings) -> str:
    """Make the page about the present state. Raises ExtraMissing."""
    # Matplotlib logs the building of its font cache, in another format than our log's.
    logging.getLogger("matplotlib").setLevel(logging.CRITICAL)
    try:
        from pima.report.page import render
    except ImportError:
        raise extra_missing("report") from None
    return render(gather(engine, settings))


def last_report(engine: Engine) -> str:
    """Read the page that the last retraining left. Raises NoReportKept."""
    with reading(engine) as connection:
        html = report_figures.newest_report(connection)
    if html is None:
        raise NoReportKept
    return html


def write_report(html: str, path: Path) -> int:
    """Write a report, whole or not at all, over an earlier one; a link is followed, and not
    replaced.

    Returns the number of bytes. Raises WrongUsage if the file there is no report, and
    FileNotWritten.
    """
    content = html.encode()
    try:
        _refuse_other_than_report(path)
        remove_halves(path)
        # It shows no group of fewer than ten, so everyone who may look into the folder may read it.
        with written_aside(path, mode=0o666) as file:
            file.write(content)
    except OSError as error:
        raise FileNotWritten(path=path, why=error.strerror) from None
    return len(content)


def _refuse_other_than_report(path: Path) -> None:
    # Replacing a folder fails, with the system's error.
    if path.is_dir() or not path.exists():
        return
    # Opening a pipe would wait for a writer.
    if not path.is_file():
        raise WrongUsage(what=f"{path}: this is no regular file. Name another one for the report")
    with path.open("rb") as file:
        beginning = file.read(1_000)
    # The beginning of every report, and its mark as one of pima's: the template has both.
    is_report = (
        beginning.startswith(b"<!DOCTYPE html>")
        and b'<meta name="generator" content="pima">' in beginning
    )
    if beginning and not is_report:
        what = f"{path}: the file there is no report of pima. Name another one, or move it away"
        raise WrongUsage(what=what)


def leave_report(engine: Engine, settings: Settings, run: OpenRun) -> None:
    """Leave a report of a retraining whose verdict is on record, before its run ends. A failure
    is not raised: it is logged, and noted in the run's counts unless the extra is missing, since
    then no report is wanted."""
    try:
        html = make_report(engine, settings)
        with writing(engine) as connection:
            report_figures.keep_report(connection, html, KEPT)
        get_logger().info("report kept", bytes=len(html.encode()))
        if settings.report.folder:
            path = Path(settings.report.folder) / FILE_NAME
            write_report(html, path)
            get_logger().info("report written", path=str(path))
    except PimaError as error:
        get_logger().warning(
            "no report was left, or not everywhere", error_code=error.code, error=str(error)
        )
        if not isinstance(error, ExtraMissing):
            noted = {REPORT_ERROR: error.code}
            run.leave_at_the_end(lambda _connection: noted)
