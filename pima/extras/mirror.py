"""Mirroring model versions into an MLflow: missing ones are written, and none is written twice.

A version becomes a run of an experiment and a version of a registered model, with parameters,
figures, labels and its card, but no patient's value and no model. MLflow numbers a registered
model's versions itself; the label `pima.version` has pima's number.
"""

import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError

from pima.core.verdicts.figures import FIGURES
from pima.errors import MlflowNotWritten, WrongConfiguration, extra_missing
from pima.intake.sources.source_engine import source_place
from pima.report.card import Card, as_markdown, read_card
from pima.report.version_facts import VersionEvidence
from pima.runs.recorded_run import as_json
from pima.runs.stop_request import StopRequest
from pima.settings.sections import Settings
from pima.store.engine import reading
from pima.store.models import registry
from pima.store.models.registry import VersionSummary
from pima.store.urls import with_driver

_CHAMPION = "champion"
_SUSPENDED = "suspended"
_VERSION = "pima.version"
# A number may occur twice: after a backup was restored, or from another database.
_SHA256 = "pima.compiled_sha256"
# Errors that no later attempt can solve.
_REFUSALS = (
    "INVALID_PARAMETER_VALUE",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "CUSTOMER_UNAUTHORIZED",
    "NOT_FOUND",
)
# By default MLflow sends telemetry to its makers, and retries a server that is down for several
# minutes.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}
_LONGEST = 5_000
"""The most characters that MLflow accepts in a parameter or label."""
_NAMES = {label: name for name, label in FIGURES.items()}


@dataclass(frozen=True, slots=True)
class Mirroring:
    """The number of versions, and those that were mirrored."""

    versions: int
    mirrored: tuple[int, ...]
    """The versions that were not in MLflow, or not complete."""
    champion: int | None


def mirror(
    engine: Engine, settings: Settings, stop: StopRequest, dry_run: bool = False
) -> Mirroring:
    """Write each missing version, oldest first, and point the alias at the champion, and a second
    one if a person has stopped it; a dry run only compares.

    Raises WrongConfiguration, ExtraMissing or MlflowNotWritten.
    """
    _require_another_place(engine, settings.mlflow.tracking_uri)
    copy = MlflowCopy(settings.mlflow.tracking_uri, settings.mlflow.name)
    with reading(engine) as connection:
        versions = {each.number: each for each in registry.list_versions(connection)}
        pointer = registry.read_champion(connection)
    champion = pointer.model_version
    there = copy.numbers()
    missing = sorted(
        number for number, each in versions.items() if (number, each.compiled_sha256) not in there
    )
    if not dry_run:
        copy.begin()
        for number in missing:
            stop.check()
            version = versions[number]
            there[number, version.compiled_sha256] = copy.add(
                version, read_card(engine, number, settings)
            )
        theirs = None
        if champion is not None:
            theirs = there[champion, versions[champion].compiled_sha256]
        copy.point(_CHAMPION, theirs)
        copy.point(_SUSPENDED, theirs if pointer.suspended_at else None)
    return Mirroring(len(versions), tuple(missing), champion)


def _require_another_place(engine: Engine, tracking_uri: str) -> None:
    """Raises WrongConfiguration if MLflow would use pima's database, where it makes its own tables,
    such as `runs`."""
    expected = (
        "the address of an MLflow server, or of a database of its own, such as sqlite:///mlflow.db"
    )
    if not tracking_uri:
        raise WrongConfiguration(what="mlflow.tracking_uri is not set", expected=expected)
    try:
        known = with_driver(make_url(tracking_uri))
    except (ArgumentError, ValueError):
        known = None
    if known is not None and source_place(known) == source_place(engine.url):
        raise WrongConfiguration(
            what="mlflow.tracking_uri names pima's own database", expected=expected
        )


class MlflowCopy:
    """The copy of pima's versions in an MLflow, under one name."""

    def __init__(self, tracking_uri: str, name: str) -> None:
        """Raises ExtraMissing, MlflowNotWritten or WrongConfiguration."""
        os.environ.update(_ENVIRONMENT)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # it logs the address at each attempt
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise extra_missing("mlflow") from None
        self._name = name
        self._experiment = ""
        with _told():
            self._client: Any = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)

    def begin(self) -> None:
        """Make the experiment and the registered model if they don't exist."""
        with _told():
            found = self._client.get_experiment_by_name(self._name)
            self._experiment = (
                found.experiment_id if found else self._client.create_experiment(self._name)
            )
            if not self._client.search_registered_models(f"name = '{self._name}'"):
                self._client.create_registered_model(
                    self._name, description="pima's model versions, as it has them."
                )

    def numbers(self) -> dict[tuple[int, str], str]:
        """Find the complete versions in MLflow: (number, sha256) -> the number that MLflow gave the
        version."""
        with _told():
            found = {}
            token = None
            while True:
                page = self._client.search_model_versions(
                    f"name = '{self._name}'", page_token=token
                )
                for each in page:
                    if {_VERSION, _SHA256} <= each.tags.keys():
                        found[int(each.tags[_VERSION]), each.tags[_SHA256]] = each.version
                token = page.token
                if not token:
                    return found

    def add(self, version: VersionSummary, card: Card) -> str:
        """Write a missing or incomplete version, after `begin`; return the number that MLflow gave
        it."""
        from mlflow.entities import Metric, Param, RunTag

        at = int(version.created_at.timestamp() * 1000)
        labels = _labels(version, card)
        same = " AND ".join(f"tags.`{name}` = '{labels[name]}'" for name in (_VERSION, _SHA256))
        with _told():
            # A run that a stopped mirroring has left, if there is one.
            left = self._client.search_runs([self._experiment], same, max_results=1)
            run = (
                left[0]
                if left
                else self._client.create_run(self._experiment, at, labels, f"v{version.number}")
            )
            # Logging the same values at the same time again changes nothing.
            self._client.log_batch(
                run.info.run_id,
                metrics=[
                    Metric(name, value, at, 0)
                    for name, value in _figures(version, card.facts.evidence).items()
                ],
                params=[Param(name, value) for name, value in _parameters(version, card).items()],
                tags=[RunTag(name, value) for name, value in labels.items()],
            )
            self._client.log_text(run.info.run_id, as_markdown(card), "card.md")
            self._client.log_text(
                run.info.run_id, json.dumps(as_json(card), default=str, indent=1), "card.json"
            )
            self._client.set_terminated(run.info.run_id, end_time=at)
            made = self._client.create_model_version(
                self._name,
                source=run.info.artifact_uri,
                run_id=run.info.run_id,
                tags=labels,
                description=(
                    f"pima's version {version.number}; its card is among the run's artifacts."
                ),
            )
            return made.version

    def point(self, alias: str, number: str | None) -> None:
        """Point an alias to a version by MLflow's number, or to none."""
        with _told():
            model = self._client.get_registered_model(self._name)
            if model.aliases.get(alias) == number:
                return
            if number is None:
                self._client.delete_registered_model_alias(self._name, alias)
            else:
                self._client.set_registered_model_alias(self._name, alias, number)


def _parameters(version: VersionSummary, card: Card) -> dict[str, str]:
    found = {
        "threshold": version.threshold,
        "seed": version.seed,
        "outcome": card.facts.outcome,
        "training_rows": version.training_rows,
        "holdout_rows": version.holdout_rows,
        "features": ", ".join(each.name for each in card.facts.inputs),
        **{f"settings/{name}": value for name, value in version.settings.items()},
        **{f"libraries/{name}": value for name, value in version.libraries.items()},
    }
    return {name: str(value)[:_LONGEST] for name, value in found.items()}


def _figures(version: VersionSummary, evidence: VersionEvidence | None) -> dict[str, float]:
    """Figures on the verdict's rows, with the bounds of their intervals, without those that could
    not be computed."""
    found: dict[str, float | None] = {}
    if version.performance is not None:
        found = {f"test/{name}": value for name, value in asdict(version.performance).items()}
    if evidence is not None:
        for measured in evidence.figures:
            figure = measured.figure
            name = f"evidence/{_NAMES[measured.name]}"
            found |= {name: figure.value, f"{name}/low": figure.low, f"{name}/high": figure.high}
    return {name: float(value) for name, value in found.items() if value is not None}


def _labels(version: VersionSummary, card: Card) -> dict[str, str]:
    judged = card.facts.judged
    found = {"data_fingerprint": version.data_fingerprint}
    if judged is not None:
        found |= {
            "verdict": judged.verdict,
            "reason": judged.reason,
            "explanation": judged.explanation,
            "against": str(judged.against or "none"),
        }
    labels = {f"pima.{name}": value[:_LONGEST] for name, value in found.items()}
    return {_VERSION: str(version.number), _SHA256: version.compiled_sha256} | labels


@contextmanager
def _told() -> Iterator[None]:
    """Translate MLflow's errors into pima's, without their text, which may hold the address and its
    password."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        code = str(error.error_code)
        if any(word in code for word in _REFUSALS):
            expected = "a tracking URI that MLflow accepts, and the right to write there"
            raise WrongConfiguration(
                what=f"MLflow refuses mlflow.tracking_uri ({code})", expected=expected
            ) from None
        raise MlflowNotWritten(what=code) from None
    except (OSError, SQLAlchemyError) as error:
        raise MlflowNotWritten(what=type(error).__name__) from None
