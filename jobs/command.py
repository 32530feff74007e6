"""The course of every command: settings, the database, log lines, signals, output, and the exit
code for each ending.

`main(arguments, environ)` takes everything from outside, so a test can call it as a shell does.
"""

import argparse
import gc
import io
import json
import os
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, TextIO

from sqlalchemy import Engine

from jobs.options import HelpAsked, OptionParser
from pima.core.declared.features import Declaration
from pima.errors import DONE, FAILED, Interrupted, PimaError, ResultNotWritten, WrongUsage
from pima.logs import configure_logs, get_logger, tell, write_line
from pima.runs.recorded_run import (
    SECONDS_TO_ANSWER_A_PING,
    OpenRun,
    close_crashed,
    ping,
    recorded_run,
)
from pima.runs.stop_request import StopRequest
from pima.settings.reading import (
    DEFAULT_DATABASE_URL,
    database_url,
    declared,
    read_settings,
    require_score_to_beat,
)
from pima.settings.sections import Settings
from pima.store.models.registry import require_declared
from pima.store.schema import migrate, require_schema
from pima.store.service.runs import status_of_exit_code
from pima.store.urls import is_empty_default_file, make_engine, require_file

Result = dict[str, Any]
A_MINUTE = 60


@dataclass(slots=True)
class Command:
    """One call of a command, ready to work."""

    options: argparse.Namespace
    environ: Mapping[str, str]
    settings: Settings
    engine: Engine
    stop: StopRequest
    declared: Declaration
    """The settings' declaration; after the schema was checked the database's, which also has
    retired features."""
    run: OpenRun | None = None
    """The run, if the command is a job; its counts are reported even if it fails."""

    @contextmanager
    def recorded_run(self, job: str) -> Iterator[OpenRun]:
        """Do the work of the block in a run of the job, or in the one that a scheduler opened."""
        given = self.options
        with recorded_run(self.engine, job, given.run_id, given.dry_run) as self.run:
            yield self.run


Main = Callable[[Sequence[str], Mapping[str, str]], int]
"""(arguments, environ) -> the exit code."""


def main_of(
    module: str,
    description: str | None,
    work: Callable[[Command], Result],
    show: Callable[[Result], None],
    add_options: Callable[[OptionParser], None] = lambda _options: None,
    **course: Any,
) -> Main:
    """Make a command's `main`, with its own options and those that every command has. `course` are
    the keyword arguments of `_run`."""

    def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
        made = OptionParser(prog=f"python -m {module}", description=description, allow_abbrev=False)
        made.add_argument(
            "--config", type=Path, metavar="PATH", help="settings file (default: config/pima.toml)"
        )
        made.add_argument(
            "--json", action="store_true", help="print the result as one JSON object on stdout"
        )
        add_options(made)
        if not gc.isenabled():
            gc.freeze()  # the collector ignores imported objects from now on
            gc.enable()
        keep_standard_descriptors()
        try:
            options = made.parse_args(list(arguments))
        except HelpAsked as asked:
            text, facts = asked.args
            is_json = facts is not None and "--json" in arguments
            if is_json:
                return _told(written(lambda: _print_json(facts)))
            return _told(written(lambda: print(text, end="")))
        except WrongUsage as error:
            write_line(f"error: {error}")
            if "--json" in arguments:
                facts = {"error": error.code, "message": str(error)}
                written(lambda: _print_json(facts))
            return error.exit_code
        return _run(options, work, show, environ, **course)

    return main


def end_with(main: Main) -> NoReturn:
    """Run a command's `main` as from a shell, and end the process with its exit code."""
    exit_code = main(sys.argv[1:], os.environ)
    try:
        if sys.stderr is not None:
            sys.stderr.flush()
    except OSError:
        # The log's disk is full. The interpreter's own flush would make the exit code 120.
        let_go_of(sys.stderr)
    sys.exit(exit_code)


def _run(
    options: argparse.Namespace,
    work: Callable[[Command], Result],
    show: Callable[[Result], None],
    environ: Mapping[str, str],
    *,
    job: str | None = None,
    needs_schema: Callable[[argparse.Namespace], bool] | bool = True,
    is_run: Callable[[argparse.Namespace], bool] = lambda _options: True,
) -> int:
    """Do the work and show its result; every ending becomes an exit code, never a traceback.

    A ping is sent only for a run of the job.
    """
    command: Command | None = None
    level: Literal["error", "warning"] = "error"
    try:
        with ExitStack() as at_the_end:
            command = _prepare(options, environ, job, at_the_end)
            _see_to_the_schema(
                command, needs_schema(options) if callable(needs_schema) else needs_schema
            )
            # A run that a scheduler started is stopped by it.
            if job is not None and is_run(options) and not options.run_id:
                schedule = command.settings.schedule
                seconds = schedule.time_limit_minutes * A_MINUTE
                at_the_end.enter_context(command.stop.within(seconds, schedule.grace_seconds))
            result = work(command)
        exit_code = DONE
    except PimaError as error:
        exit_code = error.exit_code
        code = error.code
        message = str(error)
    except Interrupted as ending:
        exit_code = ending.exit_code
        code = ending.code
        level = "warning"
        message = ending.told
    except (
        Exception
    ) as error:  # a defect of pima: its text could hold anything, so only class and place are shown
        frame = traceback.extract_tb(error.__traceback__)[-1]
        kind = type(error).__name__
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        exit_code = FAILED
        code = f"unexpected_{kind}"
        message = f"{kind} at {place}; this is a defect of pima, please report it"
    pinged = job if is_run(options) else None
    if exit_code == DONE:
        shown = _told(written(lambda: _print_json(result) if options.json else show(result)))
        _ping(command, pinged, DONE)  # the run has succeeded, even if its result could not be shown
        return shown
    tell(f"error: {message}" if level == "error" else message, level)
    if options.json:
        run = command.run if command is not None else None
        counts = {} if run is None else {"run_id": run.id, **run.counts}
        written(lambda: _print_json({"error": code, "message": message} | counts))
    _ping(command, pinged, exit_code)
    return exit_code


def _prepare(
    options: argparse.Namespace, environ: Mapping[str, str], job: str | None, at_the_end: ExitStack
) -> Command:
    prepare_output()
    stop = StopRequest()
    stop.listen()
    configure_logs("auto")  # until the settings are read
    settings = read_settings(options.config, environ)
    configure_logs(settings.logs.format)
    declaration = declared(options.config, settings)
    engine = make_engine(database_url(environ, job), settings.database)
    at_the_end.callback(engine.dispose)
    return Command(options, environ, settings, engine, stop, declaration)


def _see_to_the_schema(command: Command, needs_schema: bool) -> None:
    if not needs_schema:
        return
    if is_empty_default_file(command.engine.url, DEFAULT_DATABASE_URL):
        migrate(command.engine, command.settings.holdout, command.declared)
        get_logger().info("made the schema in a new file", file=command.engine.url.database)
    require_file(command.engine.url)
    kept = require_schema(command.engine)
    require_declared(command.declared, kept)
    require_score_to_beat(command.settings, kept.score_columns)
    command.declared = kept
    close_crashed(command.engine)


def _ping(command: Command | None, job: str | None, exit_code: int) -> None:
    """Ping the run's end.

    For a job that a scheduler started, the scheduler does so, even if the job was killed. A dry run
    is not pinged.
    """
    if command is None or job is None or command.options.run_id or command.options.dry_run:
        return
    told = ping(command.settings.ping, job, status_of_exit_code(exit_code))
    if told is not None:
        # The run is over and its row is closed: only this process waits.
        told.join(SECONDS_TO_ANSWER_A_PING)


def _told(failure: ResultNotWritten | None) -> int:
    if failure is None:
        return DONE
    tell(f"error: {failure}")
    return failure.exit_code


def _print_json(result: Result) -> None:
    print(json.dumps(result, default=str))


def keep_standard_descriptors() -> None:
    """Open standard descriptors that were closed at the start: otherwise the database's socket, for
    example, could get the number of one, and native code would write into it."""
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # it gets the lowest free number


def prepare_output() -> None:
    """Escape characters that the terminal can't show, and ignore a width of 0, which some shells
    set."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]


def written(write: Callable[[], None]) -> ResultNotWritten | None:
    """Print. A closed pipe or output is no error, since its reader wanted no more; a full disk is
    one."""
    if sys.stdout is None:
        return None
    try:
        prepare_output()
        write()
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):  # rich ends the process at a closed pipe
        let_go_of(sys.stdout)
    except OSError as error:
        let_go_of(sys.stdout)
        return ResultNotWritten(why=error.strerror)
    return None


def let_go_of(stream: TextIO) -> None:
    """Discard a stream's buffered output, which would fail again when the process exits."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
