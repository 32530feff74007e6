"""The copy in an MLflow: an experiment with a run for each version, and a registered model with a version for each run.

MLflow numbers a registered model's versions by itself; which of pima's it is stands in the label `pima.version`.
"""

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from pima.errors import MlflowExtraMissing, MlflowNotWritten, WrongConfiguration
from pima.errors.extras import install_line
from pima.mirroring.mirrored import MirroredVersion

_CHAMPION = "champion"
_VERSION = "pima.version"
# A number may come a second time: behind a restored backup, or from another database.
_SHA256 = "pima.compiled_sha256"
# What no later try can mend.
_REFUSALS = ("INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED", "NOT_FOUND")
# It reports its use to its makers unless it is told not to, and tries an away server for several minutes.
_ENVIRONMENT = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
}


class MlflowCopy:
    """What is there of pima's versions, under one name."""

    def __init__(self, tracking_uri: str, name: str) -> None:
        """Raises MlflowExtraMissing, MlflowNotWritten or WrongConfiguration."""
        os.environ.update(_ENVIRONMENT)
        logging.getLogger("urllib3").setLevel(logging.ERROR)  # of each try it tells the address
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise MlflowExtraMissing(install=install_line("mlflow")) from None
        self._name, self._experiment = name, ""
        with _told():
            self._client: Any = MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)

    def begin(self) -> None:
        """Make the experiment and the registered model where they are not there."""
        with _told():
            found = self._client.get_experiment_by_name(self._name)
            self._experiment = found.experiment_id if found else self._client.create_experiment(self._name)
            if not self._client.search_registered_models(f"name = '{self._name}'"):
                self._client.create_registered_model(self._name, description="pima's model versions, as it has them.")

    def numbers(self) -> dict[tuple[int, str], str]:
        """The versions that are there whole, each by its number and sha256, with the numbers that MLflow gave them."""
        with _told():
            found: dict[tuple[int, str], str] = {}
            token = None
            while True:
                page = self._client.search_model_versions(f"name = '{self._name}'", page_token=token)
                ours = (each for each in page if {_VERSION, _SHA256} <= each.tags.keys())
                found |= {(int(each.tags[_VERSION]), each.tags[_SHA256]): each.version for each in ours}
                token = page.token
                if not token:
                    return found

    def add(self, version: MirroredVersion) -> str:
        """Write a version that is not there, or not whole, after `begin`; the number that MLflow gave it."""
        with _told():
            run = self._run(version)
            self._client.log_text(run.info.run_id, version.card, "card.md")
            self._client.log_text(run.info.run_id, version.card_document, "card.json")
            self._client.set_terminated(run.info.run_id, end_time=_milliseconds(version))
            made = self._client.create_model_version(
                self._name,
                source=run.info.artifact_uri,
                run_id=run.info.run_id,
                tags=_labels(version),
                description=f"pima's version {version.number}; its card is among the run's artifacts.",
            )
            number: str = made.version
            return number

    def point(self, number: str | None) -> None:
        """Have the alias `champion` lead to a version by MLflow's number, or to none."""
        with _told():
            model = self._client.get_registered_model(self._name)
            if model.aliases.get(_CHAMPION) == number:
                return
            if number is None:
                self._client.delete_registered_model_alias(self._name, _CHAMPION)
            else:
                self._client.set_registered_model_alias(self._name, _CHAMPION, number)

    def _run(self, version: MirroredVersion) -> Any:
        """A run with all of it but the card: that which a stopped mirroring has left, where there is one."""
        from mlflow.entities import Metric, Param, RunTag

        at = _milliseconds(version)
        labels = _labels(version)
        same = " AND ".join(f"tags.`{name}` = '{labels[name]}'" for name in (_VERSION, _SHA256))
        left = self._client.search_runs([self._experiment], same, max_results=1)
        run = left[0] if left else self._client.create_run(self._experiment, at, labels, f"v{version.number}")
        # The same at the same moment is the same once more.
        self._client.log_batch(
            run.info.run_id,
            metrics=[Metric(name, value, at, 0) for name, value in version.figures.items()],
            params=[Param(name, value) for name, value in version.parameters.items()],
            tags=[RunTag(name, value) for name, value in labels.items()],
        )
        return run


def _labels(version: MirroredVersion) -> dict[str, str]:
    return {_VERSION: str(version.number)} | {f"pima.{name}": value for name, value in version.labels.items()}


def _milliseconds(version: MirroredVersion) -> int:
    return int(version.trained_at.timestamp() * 1000)


@contextmanager
def _told() -> Iterator[None]:
    """MLflow's errors as ours, without their text, which may hold the address and its password."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        code = str(error.error_code)
        if any(word in code for word in _REFUSALS):
            expected = "a tracking URI that it takes, and the right to write there"
            raise WrongConfiguration(what=f"MLflow refuses mlflow.tracking_uri ({code})", expected=expected) from None
        raise MlflowNotWritten(what=code) from None
    except (OSError, SQLAlchemyError) as error:
        raise MlflowNotWritten(what=type(error).__name__) from None
