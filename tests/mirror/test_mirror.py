"""Versions, figures and cards in a real MLflow: a local store, by MLflow's own client."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.canaries import BAD, CANARIES, GOOD, NAME
from tests.support.databases import (
    Database,
    Ended,
    call,
    free_port,
    insert_patients,
    the_json,
    under_role,
)

pytestmark = pytest.mark.filterwarnings("default")  # MLflow's own, of the libraries that it uses


class Mlflow:
    """A store of its own, and what it knows."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"sqlite:///{folder / 'mlflow.db'}"
        self.folder = folder

    @property
    def client(self) -> Any:
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.uri, registry_uri=self.uri)

    def versions(self) -> dict[int, Any]:
        """pima's numbers -> MLflow's registered versions."""
        found = self.client.search_model_versions("name = 'pima'")
        assert len({each.tags["pima.version"] for each in found}) == len(found)
        return {int(each.tags["pima.version"]): each for each in found}

    def run(self, number: int) -> Any:
        return self.client.get_run(self.versions()[number].run_id)

    def card(self, number: int, name: str) -> str:
        path = self.client.download_artifacts(self.versions()[number].run_id, name)
        return Path(path).read_text()

    def all_texts(self) -> Iterator[str]:
        """Everything that is in it."""
        yield (self.folder / "mlflow.db").read_bytes().decode(errors="replace")
        yield from (
            path.read_text()
            for path in self.folder.rglob("*")
            if path.is_file() and path.suffix != ".db"
        )


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that MLflow has made, which takes it seconds."""
    folder = tmp_path_factory.mktemp("made")
    Mlflow(folder).client.search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def mlflow(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mlflow:
    (tmp_path / "mlflow").mkdir()
    monkeypatch.chdir(tmp_path / "mlflow")  # where MLflow puts a local store's artifacts
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(made.read_bytes())
    return Mlflow(tmp_path / "mlflow")


CONFIG = str(Path(__file__).parents[2] / "config" / "pima.toml")


def _mirror(database: Database, mlflow: Mlflow, *options: str, exit_code: int = 0) -> Ended:
    ended = call(
        database, "mirror", "--config", CONFIG, *options, PIMA_MLFLOW__TRACKING_URI=mlflow.uri
    )
    assert ended.exit_code == exit_code, ended.stderr
    return ended


def test_each_version_is_there_once_with_its_figures_and_its_card(
    scored_database: Database, mlflow: Mlflow
) -> None:
    on_server = scored_database.kind == "postgresql"
    before = the_json(_mirror(scored_database, mlflow, "--dry-run", "--json"))
    assert before == {
        "versions": 3,
        "mirrored": [1, 2, 3],
        "champion": 1,
        "dry_run": True,
    }
    assert list(mlflow.client.search_registered_models()) == []
    assert call(scored_database, "migrate", "--roles", "--config", CONFIG).exit_code == (
        0 if on_server else 2
    )
    operator = under_role(scored_database, "pima_operator") if on_server else scored_database
    assert _mirror(operator, mlflow).stdout == "3 versions mirrored: 1, 2, 3; the champion is 1\n"
    assert mlflow.versions().keys() == {1, 2, 3}
    card = the_json(call(scored_database, "models", "card", "2", "--json", "--config", CONFIG))
    run = mlflow.run(2)
    auroc = next(
        each["figure"] for each in card["evidence"]["figures"] if each["name"] == "area under ROC"
    )
    for end, name in (
        ("value", "evidence/auroc"),
        ("low", "evidence/auroc/low"),
        ("high", "evidence/auroc/high"),
    ):
        assert run.data.metrics[name] == pytest.approx(auroc[end])
    shown = the_json(call(scored_database, "models", "show", "2", "--json", "--config", CONFIG))[
        "version"
    ]
    assert run.data.metrics["test/accuracy"] == pytest.approx(
        shown["metrics"]["holdout"]["accuracy"]
    )
    assert run.data.params["training_rows"] == str(shown["training_rows"])
    assert run.data.tags["pima.compiled_sha256"] == shown["compiled_sha256"]
    assert run.info.status == "FINISHED"
    assert json.loads(mlflow.card(2, "card.json"))["version"] == 2
    assert mlflow.card(2, "card.md").startswith("# Model card: version 2\n")


def test_again_nothing_is_written_twice_and_the_champion_is_followed(
    scored_database: Database, mlflow: Mlflow
) -> None:
    _mirror(scored_database, mlflow)
    versions = mlflow.versions()
    assert mlflow.client.get_model_version_by_alias("pima", "champion").tags["pima.version"] == "1"
    assert (
        call(
            scored_database, "models", "promote", "3", "--reason", "a test", "--config", CONFIG
        ).exit_code
        == 0
    )
    assert the_json(_mirror(scored_database, mlflow, "--json"))["mirrored"] == []
    assert mlflow.client.get_model_version_by_alias("pima", "champion").tags["pima.version"] == "3"
    assert {number: each.version for number, each in mlflow.versions().items()} == {
        number: each.version for number, each in versions.items()
    }
    suspend = ("models", "suspend", "--reason", "a test", "--config", CONFIG)
    assert call(scored_database, *suspend).exit_code == 0
    _mirror(scored_database, mlflow)
    aliases = mlflow.client.get_registered_model("pima").aliases
    assert aliases == {"champion": versions[3].version, "suspended": versions[3].version}
    scored_database.execute("UPDATE champion SET model_version = NULL, suspended_at = NULL")
    _mirror(scored_database, mlflow)
    assert mlflow.client.get_registered_model("pima").aliases == {}


def test_what_a_stopped_mirroring_left_is_completed(
    scored_database: Database, mlflow: Mlflow
) -> None:
    _mirror(scored_database, mlflow)
    left = mlflow.versions()[2]
    mlflow.client.delete_model_version("pima", left.version)
    metrics = mlflow.run(1).data.metrics
    assert the_json(_mirror(scored_database, mlflow, "--json"))["mirrored"] == [2]
    assert mlflow.versions()[2].run_id == left.run_id
    assert len(mlflow.client.search_runs([mlflow.run(1).info.experiment_id])) == 3
    assert len(mlflow.client.get_metric_history(left.run_id, "test/accuracy")) == 1
    assert mlflow.run(1).data.metrics == metrics


def test_another_version_of_the_same_number_is_mirrored_beside_the_first(
    scored_database: Database, mlflow: Mlflow
) -> None:
    """As behind a restored backup, or from another database."""
    _mirror(scored_database, mlflow)
    first = mlflow.versions()[1]
    theirs = "(SELECT {0} FROM model_versions WHERE number = 3)"
    columns = ("compiled_artifact", "compiled_sha256")
    assert (
        len(
            scored_database.execute(
                "SELECT DISTINCT compiled_sha256 FROM model_versions WHERE number <> 2"
            )
        )
        == 2
    )
    values = ", ".join(f"{column} = {theirs.format(column)}" for column in columns)
    scored_database.execute(f"UPDATE model_versions SET {values} WHERE number = 1")
    assert the_json(_mirror(scored_database, mlflow, "--json"))["mirrored"] == [1]
    champion = mlflow.client.get_model_version_by_alias("pima", "champion")
    assert (champion.tags["pima.version"], champion.version != first.version) == ("1", True)
    sha256 = scored_database.value("SELECT compiled_sha256 FROM model_versions WHERE number = 1")
    assert champion.tags["pima.compiled_sha256"] == sha256 != first.tags["pima.compiled_sha256"]
    assert champion.run_id != first.run_id
    assert the_json(_mirror(scored_database, mlflow, "--json"))["mirrored"] == []


def test_a_server_that_is_away_is_tried_later_and_what_mlflow_does_not_take_is_not(
    sqlite: Database,
) -> None:
    away = f"http://doctor:{NAME}@127.0.0.1:{free_port()}"
    for uri, exit_code in ((away, 75), (f"nothing://{NAME}", 2), ("", 2)):
        ended = call(sqlite, "mirror", PIMA_MLFLOW__TRACKING_URI=uri)
        assert (ended.exit_code, NAME in ended.stderr) == (exit_code, False), ended.stderr


def test_no_patient_s_value_is_mirrored_and_nobody_hears_of_it(
    scored_database: Database, mlflow: Mlflow
) -> None:
    insert_patients(scored_database, 3, **GOOD)
    for column, value in BAD.items():
        insert_patients(scored_database, 1, **(GOOD | {column: value}))
    assert call(scored_database, "score", "--config", CONFIG).exit_code == 0
    scored_database.execute("UPDATE patients SET outcome = 1")
    ended = _mirror(scored_database, mlflow)
    for text in (ended.stdout, ended.stderr, *mlflow.all_texts()):
        assert all(canary not in text for canary in CANARIES)
    from mlflow.environment_variables import MLFLOW_DISABLE_TELEMETRY

    assert MLFLOW_DISABLE_TELEMETRY.get()
