"""What can be told of compose.yaml without an engine: its text, and the secrets that it mounts,
really drawn."""

import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pima.settings.reading import database_url, read_settings, source_url
from tests.support.shipped import ROOT

COMPOSE, OUTSIDE, SOURCE = (
    yaml.safe_load((ROOT / f"compose{name}.yaml").read_text())
    for name in ("", ".outside", ".source")
)


def _environment(*files: dict[str, Any], secrets: Path) -> dict[str, str]:
    """The scheduler's, with its secrets in this folder."""
    given = {
        name: value
        for file in files
        for name, value in file["services"]["scheduler"]["environment"].items()
    }
    return {name: value.replace("/run/secrets", str(secrets)) for name, value in given.items()}


def test_images_are_named_by_their_full_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert COMPOSE["x-pima"]["image"] == f"pima:{version}"
    assert re.fullmatch(
        r"\$\{POSTGRES_IMAGE:-postgres:\d+\.\d+\}", COMPOSE["x-postgresql"]["image"]
    )
    assert re.search(
        r"^ARG BASE=python:\d+\.\d+\.\d+-slim$", (ROOT / "Dockerfile").read_text(), re.MULTILINE
    )


@pytest.mark.parametrize("service", COMPOSE["services"])
def test_each_service_is_limited_and_its_log_too(service: str) -> None:
    told = COMPOSE["services"][service]
    assert {"mem_limit", "cpus"} <= told.keys()
    assert (told["read_only"], told["cap_drop"], "max-size" in told["logging"]["options"]) == (
        True,
        ["ALL"],
        True,
    )


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    folder = tmp_path / "secrets"
    subprocess.run(["sh", str(ROOT / "deploy" / "secrets.sh"), str(folder)], check=True)
    return folder


def test_each_secret_that_is_mounted_is_drawn(secrets: Path) -> None:
    for files in ((COMPOSE,), (COMPOSE, OUTSIDE)):
        named = {name: told["file"] for file in files for name, told in file["secrets"].items()}
        assert named == {name: f"secrets/{name}" for name in named}
        used = {
            name
            for file in files
            for service in file["services"].values()
            for name in service.get("secrets", ())
        }
        assert used == named.keys() <= {path.name for path in secrets.iterdir()}


def test_to_a_folder_that_is_there_is_added_what_lacks_and_the_rest_stays(secrets: Path) -> None:
    for path in [
        *secrets.glob("pima_operator_*"),
        *secrets.glob("ping_*"),
        secrets / "pima_loader_url",
    ]:
        path.unlink()
    before = {path.name: path.read_text() for path in secrets.iterdir()}
    added = subprocess.check_output(
        ["sh", str(ROOT / "deploy" / "secrets.sh"), str(secrets)], text=True
    )
    after = {path.name: path.read_text() for path in secrets.iterdir()}
    assert before.items() <= after.items()
    assert (
        subprocess.check_output(
            ["sh", str(ROOT / "deploy" / "secrets.sh"), str(secrets)], text=True
        )
        == ""
    )
    assert {path.name: path.read_text() for path in secrets.iterdir()} == after
    names = {"pima_operator_password", "pima_operator_url", "pima_loader_url"}
    pings = {f"ping_{job}_url" for job in ("score", "retrain", "pull")}
    assert after.keys() - before.keys() == names | pings
    for role in ("pima_operator", "pima_loader"):
        assert (
            f"//{role}:{after[f'{role}_password'].strip()}@database:5432/pima"
            in after[f"{role}_url"]
        )
    # A server that is there has not read the new password: what to tell it is printed.
    assert re.findall(r"(\w+) is new", added) == ["pima_operator"]
    (statement,) = re.findall(r'echo ".*"(?= \| docker)', added)
    password = after["pima_operator_password"].strip()
    assert (
        subprocess.check_output(["sh", "-c", statement], text=True)
        == f"CREATE ROLE pima_operator LOGIN; ALTER ROLE pima_operator PASSWORD '{password}'\n"
    )


def test_the_file_with_a_way_out_sets_what_pima_reads(secrets: Path) -> None:
    environ = _environment(OUTSIDE, secrets=secrets)
    metrics, ping = read_settings(None, environ).metrics, read_settings(None, environ).ping
    assert OUTSIDE["services"]["scheduler"]["ports"] == [f"127.0.0.1:{metrics.port}:{metrics.port}"]
    assert metrics.address == "0.0.0.0"  # noqa: S104 (of a container, whose port is published on 127.0.0.1)
    assert (ping.score_url, ping.retrain_url, ping.pull_url) == ("", "", "")
    (secrets / "ping_score_url").write_text("https://ping.example.org/a\n")
    assert read_settings(None, environ).ping.score_url == "https://ping.example.org/a"


def test_the_file_with_a_source_passes_the_url_of_the_one_that_the_settings_show(
    secrets: Path, tmp_path: Path
) -> None:
    shown = (ROOT / "config" / "pima.toml").read_text().partition("# [[source]]")
    config = tmp_path / "pima.toml"
    config.write_text(re.sub(r"^# ?", "", "".join(shown[1:]), flags=re.MULTILINE))
    url = "postgresql+psycopg://reader:word@records.example.org/records?sslmode=verify-full"
    (secrets / "source_clinic_url").write_text(f"{url}\n")
    assert SOURCE["secrets"] == {"source_clinic_url": {"file": "secrets/source_clinic_url"}}
    assert SOURCE["services"]["scheduler"]["secrets"] == ["source_clinic_url"]
    environ = _environment(COMPOSE, SOURCE, secrets=secrets)
    (source,) = read_settings(config, environ).sources
    assert source_url(environ, source.name) == url
    assert "//pima_loader:" in database_url(environ, "pull")
