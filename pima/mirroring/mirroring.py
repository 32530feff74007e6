"""Bringing an MLflow up to date with pima's versions: what is not there is written, and nothing is written twice."""

from dataclasses import dataclass

from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from pima.errors import NoSuchVersion, WrongConfiguration
from pima.mirroring.mirrored import MirroredVersion, mirrored
from pima.mirroring.mlflow_copy import MlflowCopy
from pima.process.stopping import StopRequest
from pima.report.card import read_card
from pima.settings import MlflowSettings
from pima.store import registry
from pima.store.database import with_driver
from pima.store.engine import reading
from pima.store.source_engine import place_of


@dataclass(frozen=True, slots=True)
class Mirroring:
    """What was done."""

    versions: int
    """That there are."""
    mirrored: tuple[int, ...]
    """Those that were not in MLflow, or not whole."""
    champion: int | None


def mirror(engine: Engine, settings: MlflowSettings, stop: StopRequest, dry_run: bool = False) -> Mirroring:
    """Write each version that is not there, oldest first, and point at the champion; a dry run only looks.

    Raises WrongConfiguration, MlflowExtraMissing or MlflowNotWritten.
    """
    _require_another_place(engine, settings.tracking_uri)
    copy = MlflowCopy(settings.tracking_uri, settings.name)
    with reading(engine) as connection:
        versions = {version.number: version.compiled_sha256 for version in registry.list_versions(connection)}
        champion = registry.read_champion(connection).model_version
    there = copy.numbers()
    missing = sorted(each for each in versions.items() if each not in there)
    if not dry_run:
        copy.begin()
        for number, sha256 in missing:
            stop.check()
            there[number, sha256] = copy.add(_read(engine, number))
        copy.point(None if champion is None else there[champion, versions[champion]])
    return Mirroring(len(versions), tuple(number for number, _ in missing), champion)


def _read(engine: Engine, number: int) -> MirroredVersion:
    with reading(engine) as connection:
        version = registry.read_version(connection, number)
    if version is None:
        raise NoSuchVersion(number=number)
    return mirrored(version, read_card(engine, number))


def _require_another_place(engine: Engine, tracking_uri: str) -> None:
    """MLflow makes tables of its own where it is told to, one of them called `runs`."""
    expected = "the address of an MLflow server, or of a database of its own, such as sqlite:///mlflow.db"
    if not tracking_uri:
        raise WrongConfiguration(what="mlflow.tracking_uri is not set", expected=expected)
    try:
        known = with_driver(make_url(tracking_uri))
    except (ArgumentError, ValueError):
        known = None
    if known is not None and place_of(known) == place_of(engine.url):
        raise WrongConfiguration(what="mlflow.tracking_uri names pima's own database", expected=expected)
