"""What can be told of deploy/kubernetes without a cluster: its manifests, the secrets that they mount,
really drawn, and the shell in them."""

import copy
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from sqlalchemy.engine import make_url

from pima.errors import FAILED, REFUSED, WRONG
from pima.settings.reading import (
    database_url,
    environ_of_job,
    read_settings,
    require_urls_of_sources,
    source_url,
)
from pima.settings.sections import STARTED, ScheduleSettings
from tests.support.clinic import URL, Clinic, installed
from tests.support.databases import Database, clean_environ
from tests.support.pages import PAGES
from tests.support.shipped import ROOT

FOLDER = ROOT / "deploy" / "kubernetes"
MANIFESTS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted(FOLDER.glob("*.yaml"))}
PAGE = PAGES["docs/do/run-on-kubernetes.md"].read_text()
VALIDATOR = Draft202012Validator(
    yaml.safe_load((ROOT / "tests" / "data" / "kubernetes.yaml").read_text())
)
NAMED_BY_THE_USER = {"labels", "matchLabels"}
each_manifest = pytest.mark.parametrize("name", MANIFESTS)


def job_of(manifest: dict[str, Any]) -> dict[str, Any]:
    """The Job, or what a Deployment has in its place."""
    spec = manifest["spec"]
    found: dict[str, Any] = spec["jobTemplate"]["spec"] if "jobTemplate" in spec else spec
    return found


def pod_of(manifest: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = job_of(manifest)["template"]["spec"]
    return found


def containers_of(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    pod = pod_of(manifest)
    return [*pod.get("initContainers", ()), *pod["containers"]]


CONTAINERS = {
    (name, container["name"]): container
    for name, manifest in MANIFESTS.items()
    for container in containers_of(manifest)
}


def _tables(part: Any) -> Iterator[dict[str, Any]]:
    """Each table in a manifest whose keys are Kubernetes' own."""
    if isinstance(part, list):
        for each in part:
            yield from _tables(each)
    if isinstance(part, dict):
        yield part
        for key, each in part.items():
            if key not in NAMED_BY_THE_USER:
                yield from _tables(each)


@each_manifest
def test_each_field_is_one_of_kubernetes_and_a_misspelt_one_is_refused(name: str) -> None:
    manifest = copy.deepcopy(MANIFESTS[name])
    assert VALIDATOR.is_valid(manifest)
    tried = 0
    for table in _tables(manifest):
        for key in [*table]:
            table[f"{key}s"] = table.pop(key)
            assert not VALIDATOR.is_valid(manifest), key
            table[key] = table.pop(f"{key}s")
            tried += 1
    assert tried > 50
    assert VALIDATOR.is_valid(manifest)


@each_manifest
def test_a_pod_has_no_rights_and_takes_no_variables_of_services(name: str) -> None:
    pod = pod_of(MANIFESTS[name])
    assert (pod["enableServiceLinks"], pod["automountServiceAccountToken"]) == (False, False)
    assert pod["securityContext"]["runAsNonRoot"]
    user = re.search(r"^USER (\d+):", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert user is not None
    assert pod["securityContext"]["runAsUser"] == int(user[1])
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    volumes = {volume["name"] for volume in pod["volumes"]}
    mounted = set()
    for container in containers_of(MANIFESTS[name]):
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"requests", "limits"} <= container["resources"].keys()
        assert re.fullmatch(rf".*/pima:{version}(-score)?", container["image"])
        places = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert (places["/tmp"], places["/app/config"]) == ("tmp", "settings")  # noqa: S108 (of a container)
        mounted |= {*places.values()}
    assert mounted == volumes


def test_the_pods_of_the_dask_operator_take_none_either() -> None:
    """It makes a Service named pima-scheduler."""
    cluster, night = yaml.safe_load_all((ROOT / "deploy" / "dask-cluster.yaml").read_text())
    pods = [cluster["spec"][part]["spec"] for part in ("worker", "scheduler")]
    assert [pod["enableServiceLinks"] for pod in (*pods, pod_of(night))] == [False] * 3


@pytest.mark.parametrize("name", ["score", "retrain"])
def test_only_what_another_try_can_mend_is_tried_again(name: str) -> None:
    job = job_of(MANIFESTS[name])
    # 10 s, 20 s, 40 s and so on apart: three gave up after 70 seconds.
    assert 10 * (2 ** job["backoffLimit"] - 1) >= 600
    ignored, failed = job["podFailurePolicy"]["rules"]
    assert (ignored["action"], ignored["onPodConditions"][0]["type"]) == (
        "Ignore",
        "DisruptionTarget",
    )
    assert (failed["action"], failed["onExitCodes"]) == (
        "FailJob",
        {"containerName": name, "operator": "In", "values": [FAILED, WRONG, REFUSED]},
    )
    assert pod_of(MANIFESTS[name])["restartPolicy"] == "Never"


def test_jobs_start_when_health_expects_them() -> None:
    schedule = ScheduleSettings()
    for name in ("score", "retrain"):
        spec = MANIFESTS[name]["spec"]
        assert spec["schedule"] == getattr(schedule, name)
        assert spec["timeZone"].removeprefix("Etc/") == schedule.time_zone
        assert (spec["concurrencyPolicy"], spec["suspend"]) == ("Forbid", False)
        limit = job_of(MANIFESTS[name])["activeDeadlineSeconds"]
        assert limit == 60 * schedule.time_limit_minutes


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The files that the page's commands draw, with the source's URL."""
    folder = tmp_path / "secrets"
    address = "db.example.org:5432"
    subprocess.run(["sh", str(ROOT / "deploy" / "secrets.sh"), str(folder), address], check=True)
    (line,) = re.findall(r"^ *(sed -i .*)$", PAGE, re.MULTILINE)
    subprocess.run(["sh", "-c", line], cwd=tmp_path, check=True)
    (folder / "source_clinic_url").write_text("sqlite:////clinic.db\n")
    return folder


@cache
def _files_of_secrets() -> dict[str, set[str]]:
    """The files of each secret, as the page creates it."""
    page = PAGE.replace("\\\n", "")
    created = re.findall(r"kubectl create secret generic (\S+) (.*)", page)
    return {name: {*re.findall(r"--from-file=(\S+)", files)} for name, files in created}


@cache
def _roles() -> dict[str, str]:
    """The first role that the page on roles has for a command."""
    page = PAGES["docs/do/give-roles.md"].read_text()
    found: dict[str, str] = {}
    for role, commands in re.findall(
        r"^\| (?:`(\w+)`|the owner) \| ([^|]*) \|", page, re.MULTILINE
    ):
        for command in re.findall(r"`(\w+)`", commands):
            found.setdefault(command, role or "pima_owner")
    return found


def _environ(name: str, container: dict[str, Any], secrets: Path) -> dict[str, str]:
    """The variables of a container, whose files are in its own secret, here in this folder."""
    of_volumes = {
        volume["name"]: volume["secret"]["secretName"]
        for volume in pod_of(MANIFESTS[name])["volumes"]
        if "secret" in volume
    }
    there = set()
    for mount in container["volumeMounts"]:
        if mount["name"] in of_volumes:
            files = _files_of_secrets()[of_volumes[mount["name"]]]
            there |= {mount["subPath"]} & files if "subPath" in mount else files
    named = {
        variable["value"].removeprefix("/run/secrets/pima/")
        for variable in container["env"]
        if variable["name"].endswith("_FILE")
    }
    assert named == there
    return {
        variable["name"]: variable["value"].replace("/run/secrets/pima", str(secrets))
        for variable in container["env"]
    }


@pytest.mark.parametrize(("name", "part"), CONTAINERS)
def test_a_container_gets_the_files_that_it_names_and_the_role_of_its_command(
    name: str, part: str, secrets: Path, sqlite_clinic: Clinic
) -> None:
    environ = _environ(name, CONTAINERS[name, part], secrets)
    settings = read_settings(Path(sqlite_clinic.config), environ)
    require_urls_of_sources(environ, settings.sources)
    roles = {name: _roles().get(part, f"pima_{part}")}
    if part == "scheduler":
        roles = {job: _roles()[job] for job in (*STARTED, "scheduler")}
        assert settings.metrics.port == 9108
    for job, role in roles.items():
        url = make_url(database_url(environ_of_job(environ, job), job))
        assert (url.username, url.host, url.database) == (role, "db.example.org", "pima")
        assert url.query == {"sslmode": "verify-full", "sslrootcert": "/app/config/ca.crt"}
    if part in ("pull", "loader", "scheduler"):
        assert source_url(environ, "clinic") == "sqlite:////clinic.db"


@pytest.mark.parametrize(("name", "part"), CONTAINERS)
def test_a_container_runs_a_job_that_there_is(name: str, part: str) -> None:
    container = CONTAINERS[name, part]
    typed = " ".join([*container.get("command", ()), *container.get("args", ())])
    expected = {"scheduler": "", "desk": "sleep infinity", "migrate": "jobs.migrate --roles"}
    if part == "pull":
        assert "python -m jobs.pull;" in typed
    else:
        assert typed == expected.get(name, f"jobs.{name}")


@pytest.mark.parametrize(
    ("ends", "pulls"), [("succeeded", 1), ("failed", 1), ("try_again_later", 4)]
)
def test_whatever_the_pull_ends_with_the_night_goes_on(
    sqlite: Database, sqlite_clinic: Clinic, tmp_path: Path, ends: str, pulls: int
) -> None:
    sqlite_clinic.insert(2)
    urls = {
        "succeeded": sqlite_clinic.url,
        "failed": f"sqlite:///{tmp_path}/none.db",
        "try_again_later": "postgresql+psycopg://nobody@127.0.0.1:1/nothing",
    }
    folder = installed(sqlite_clinic, tmp_path / "app")
    path = f"{folder}/.venv/bin:{Path(sys.executable).parent}:/usr/bin:/bin"
    environ = {"PATH": path, "DATABASE_URL": sqlite.url, URL: urls[ends]}
    shell, option, script = CONTAINERS["score", "pull"]["command"]
    at_once = script.replace("60 240 600 0", "0 0 0 0")
    ended = subprocess.run([shell, option, at_once], cwd=folder, env=clean_environ() | environ)
    assert ended.returncode == 0
    assert sqlite.execute("SELECT status FROM runs") == [(ends,)] * pulls


def test_what_the_pages_name_is_there() -> None:
    pages = PAGE + PAGES["docs/do/symptoms.md"].read_text()
    there = {
        f"{manifest['kind'].lower()}/{manifest['metadata']['name']}"
        for manifest in MANIFESTS.values()
    }
    named = set(re.findall(r"\b(?:deploy|cronjob|job)/pima-[a-z]+", pages))
    assert "deploy/pima-desk" in named
    assert {each.replace("deploy/", "deployment/") for each in named} <= there
    parts = set(re.findall(r"deploy/pima-desk --container (\w+)", pages))
    assert parts == {part for name, part in CONTAINERS if name == "desk"}
    applied = set(re.findall(r"--filename (?:deploy/kubernetes/)?(\w+)\.yaml", pages))
    assert applied == MANIFESTS.keys()
    assert set(re.findall(r"^\| `(\w+)\.yaml`", PAGE, re.MULTILINE)) == MANIFESTS.keys()
