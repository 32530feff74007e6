"""Errors as they are told: what work ends in, and all that a log could show of it."""

import traceback
from collections.abc import Callable

from sqlalchemy import Engine, text

from pima.errors import PimaError
from pima.settings.sections import DatabaseSettings
from pima.store.engine import reading
from pima.store.urls import make_engine

VALUE = "7777.125"
"""A measurement that stands nowhere else."""
PASSWORD = "CANARY"  # noqa: S105 (looked for in what must not show it)


def ask(engine: Engine, statement: str = "SELECT 1") -> None:
    with reading(engine) as connection:
        connection.execute(text(statement))


def error_of(work: Callable[[], object]) -> PimaError:
    """The error that the work ends in, which must be one of ours."""
    try:
        work()
    except PimaError as error:
        return error
    raise AssertionError("no error")


def everything_told_by(error: BaseException) -> str:
    """All that a log could show of it."""
    facts = getattr(error, "facts", {})
    return "".join(traceback.format_exception(error)) + str(error) + repr(error) + repr(facts)


def asking(url: str, **limits: int) -> Callable[[], None]:
    """To make an engine for the URL and ask the database something."""

    def work() -> None:
        engine = make_engine(url, DatabaseSettings(**limits))
        try:
            ask(engine)
        finally:
            engine.dispose()

    return work
