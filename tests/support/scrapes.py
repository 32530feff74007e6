"""What a scrape of the metrics says, as the scheduler's endpoint serves it."""

from functools import partial
from pathlib import Path

from sqlalchemy import Engine

from pima.settings.reading import read_with_declaration
from pima.watch.metrics import CurrentSettings, DatabaseFigures
from tests.support.databases import clean_environ

Series = tuple[str, ...]
"""A metric's name and the values of its labels."""


def reads(config: str | None = None) -> CurrentSettings:
    """What the scheduler gives the endpoint, with this settings' file."""
    return partial(read_with_declaration, None if config is None else Path(config), clean_environ())


def scrape(engine: Engine, config: str | None = None) -> dict[Series, float]:
    """Each series with its value."""
    families = DatabaseFigures(engine, reads(config)).collect()
    samples = [each for family in families for each in family.samples]
    return {(each.name, *each.labels.values()): each.value for each in samples}


def alarms(engine: Engine, config: str | None = None) -> set[str]:
    """The conditions that a scrape says hold, each with what it is about."""
    found = scrape(engine, config)
    assert found["pima_database_up",] == 1
    holding = {series[1:] for series in found if series[0] == "pima_alarm"}
    return {f"{name}:{about}".rstrip(":") for name, about in holding}
