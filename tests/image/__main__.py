"""make image-test: builds both images for real and runs the service in them against a PostgreSQL on
127.0.0.1.

Needs root, Debian's buildah, netavark and debootstrap, and an index from which pip installs. The
base is made here, or is the image that the variable BASE names. Every step prints what it took; the
first thing that is not as promised ends it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.image.images import OUR_BASE, ROOT, Container, Images
from tests.image.loopback_postgresql import Server, postgresql_on_loopback
from tests.support.shipped import SHIPPED

MOST_BYTES_OF_SCORE = 450_000_000
HISTORY_ROWS = 568
CORRECTION = "UPDATE patients SET age = age + 1"
# What compose.yaml gives each service.
OWNER = {"DATABASE_URL_FILE": "/mnt/pima_owner_url"}
LOADER = {"DATABASE_URL_FILE": "/mnt/pima_loader_url"}
OPERATOR = {"DATABASE_URL_FILE": "/mnt/pima_operator_url"}
SCHEDULER = {
    "DATABASE_URL_FILE": "/mnt/pima_scheduler_url",
    "PIMA_SCORE__DATABASE_URL_FILE": "/mnt/pima_scorer_url",
    "PIMA_RETRAIN__DATABASE_URL_FILE": "/mnt/pima_trainer_url",
}
_UNWRITABLE = (
    "find / -xdev -writable -not -type l -not -path '/tmp' -not -path '/proc/*' -not -path "
    "'/dev/*' 2>/dev/null"
)


def main() -> int:
    """All steps; 0, or an AssertionError that shows what was not as promised."""
    missing = [tool for tool in ("buildah", "debootstrap", "unshare") if shutil.which(tool) is None]
    if os.geteuid() != 0 or missing:
        print(
            f"make image-test needs root, and these programs are missing: {missing}",
            file=sys.stderr,
        )
        return 2
    images = Images(Path(tempfile.mkdtemp(prefix="pima-images-")))
    try:
        score, train = _build(images)
        with postgresql_on_loopback() as server, tempfile.TemporaryDirectory() as shared:
            _check(score, train, server, Path(shared))
    finally:
        images.delete()
    print("all as promised")
    return 0


@contextmanager
def step(what: str) -> Iterator[None]:
    """Print a step and its time."""
    print(f"{what} ... ", end="", flush=True)
    begun = time.monotonic()
    yield
    print(f"{time.monotonic() - begun:.1f} s", flush=True)


def _build(images: Images) -> tuple[Container, Container]:
    """Containers of both targets; prints what each is larger than its base."""
    base = os.environ.get("BASE", OUR_BASE)
    if base == OUR_BASE:
        with step("make a base by debootstrap"):
            images.make_base()
    of_base = images.container(base).bytes_unpacked()
    found = {}
    for target in ("score", "train"):
        with step(f"build target {target}"):
            found[target] = images.container(images.build(target, base))
        beyond = found[target].bytes_unpacked() - of_base
        print(f"    {beyond / 1e6:.0f} MB beyond its base, unpacked")
        assert target != "score" or beyond <= MOST_BYTES_OF_SCORE
        _check_config(found[target])
    return found["score"], found["train"]


def _check_config(image: Container) -> None:
    config = image.config
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert config["Labels"]["org.opencontainers.image.version"] == version
    assert config["Entrypoint"] == ["python", "-m"]
    assert config["Cmd"] == ["jobs.scheduler"]
    assert config["Healthcheck"]["Test"] == ["CMD", "python", "-m", "jobs.health"]


def _check(score: Container, train: Container, server: Server, shared: Path) -> None:
    _write_secrets_and_files(server, shared)
    with step("in both images: not root, nothing writable but /tmp, no tests, no pip"):
        _check_user_and_files(score, shared, has_tensorflow=False)
        _check_user_and_files(train, shared, has_tensorflow=True)
    with step("a scheduler without schema, under buildah run and on a read-only root: exit 2"):
        for run in (train.run, train.run_hardened):
            _check_without_schema(run, shared)
    with step("migrate --roles, twice"):
        for _ in range(2):
            _job(train, "migrate", "--roles", shared=shared, **OWNER)
    with step("load the history"):
        assert (
            _job(train, "load", "/mnt/history.csv", shared=shared, **LOADER)["inserted"]
            == HISTORY_ROWS
        )
    with step("retrain in the image without TensorFlow: says what to do"):
        refused = score.run_hardened(*_line(score, "retrain"), shared=shared, **SCHEDULER)
        assert refused.returncode == 1, refused
        assert "needs the extra train" in refused.stderr, refused
        assert "use an image that has it" in refused.stderr, refused
    with step("retrain"):
        assert _job(train, "retrain", shared=shared, **SCHEDULER)["verdict"] == "promoted"
    with step("load new patients, and score them in the image without TensorFlow"):
        _job(score, "load", "/mnt/new.csv", shared=shared, **LOADER)
        assert _job(score, "score", shared=shared, **SCHEDULER)["predicted"] == 200
    assert (
        server.psql("-c", "SELECT count(*) FROM current_predictions", database="pima").strip()
        == "200"
    )
    with step("status, as the operator"):
        status = _job(score, "status", shared=shared, **OPERATOR)
        assert status["queue"] == {"rows": 0, "oldest": None}, status
    with step("score corrected rows under buildah run, in both images"):
        for image in (score, train):
            server.psql("-c", f"{CORRECTION} WHERE id > 758", database="pima")
            ended = image.run(*_line(image, "score"), shared=shared, **SCHEDULER)
            assert (ended.returncode, json.loads(ended.stdout)["predicted"]) == (0, 10), ended
    with step("the scheduler: health, both jobs, JSON lines, SIGTERM"):
        _check_scheduler(train, server, shared)


def _write_secrets_and_files(server: Server, shared: Path) -> None:
    """The passwords and roles as compose.yaml makes them; the shipped rows as history and as new
    patients."""
    shared.rmdir()
    script = [str(ROOT / "deploy" / "secrets.sh"), str(shared), f"127.0.0.1:{server.port}"]
    subprocess.run(["sh", *script], check=True)
    shared.chmod(0o755)  # compose.yaml mounts the files one by one
    server.psql("-f", str(ROOT / "deploy" / "roles.sql"), PIMA_SECRETS=str(shared))
    lines = SHIPPED.read_text().splitlines()
    (shared / "history.csv").write_text("\n".join(lines[:HISTORY_ROWS]) + "\n")
    unknown = [line.rpartition(",")[0] + "," for line in lines[HISTORY_ROWS:]]
    (shared / "new.csv").write_text("\n".join(unknown) + "\n")


def _line(image: Container, job: str, *arguments: str) -> list[str]:
    """The command line that the image's entrypoint makes."""
    return [*image.config["Entrypoint"], f"jobs.{job}", "--json", *arguments]


def _job(
    image: Container, job: str, *arguments: str, shared: Path, **environ: str
) -> dict[str, object]:
    """Run a job on a read-only root; its counts. It must end with 0, with nothing on stderr but
    JSON lines."""
    ended = image.run_hardened(*_line(image, job, *arguments), shared=shared, **environ)
    assert ended.returncode == 0, ended
    _check_json_lines(ended.stderr)
    counts: dict[str, object] = json.loads(ended.stdout)
    return counts


def _check_json_lines(stderr: str) -> None:
    for line in stderr.splitlines():
        assert isinstance(json.loads(line), dict), line


def _check_user_and_files(image: Container, shared: Path, *, has_tensorflow: bool) -> None:
    for run in (image.run, image.run_hardened):
        assert run("id", "-u", shared=shared).stdout.strip() == "10001"
        # Debian lets everybody write to these two; the read-only root below does not.
        writable = set(run("sh", "-c", _UNWRITABLE, shared=shared).stdout.split())
        assert writable <= {"/var/tmp", "/run/lock"}, writable  # noqa: S108
    refused = image.run_hardened("sh", "-c", "touch /tmp/a && ! touch /var/tmp/a", shared=shared)
    assert (refused.returncode, "Read-only file system" in refused.stderr) == (0, True), refused
    assert sorted(path.name for path in (image.root / "app").iterdir()) == [
        "config",
        "jobs",
        "migrations",
        "pima",
    ]
    packages = {path.name for path in image.root.glob("opt/venv/lib/python3*/site-packages/*")}
    assert {"tensorflow", "keras"} & packages == (
        {"tensorflow", "keras"} if has_tensorflow else set()
    )
    assert "pip" not in packages


def _check_without_schema(
    run: Callable[..., subprocess.CompletedProcess[str]], shared: Path
) -> None:
    ended = run("python", "-m", "jobs.scheduler", shared=shared, **SCHEDULER)
    assert ended.returncode == 2, ended
    assert "python -m jobs.migrate" in ended.stderr, ended


def _check_scheduler(image: Container, server: Server, shared: Path) -> None:
    server.psql("-c", f"{CORRECTION} WHERE id > 668", database="pima")
    every_second = {
        "PIMA_SCHEDULE__SCORE": "* * * * * *",
        "PIMA_SCHEDULE__RETRAIN": "*/20 * * * * *",
    }
    command = [*image.config["Entrypoint"], *image.config["Cmd"]]
    process = image.start_hardened(command, shared, **SCHEDULER, **every_second)
    succeeded = (
        "SELECT count(DISTINCT job) FROM runs WHERE trigger <> 'manual' AND status = 'succeeded'"
    )
    until = time.monotonic() + 180
    while server.psql("-c", succeeded, database="pima").strip() != "2":
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until
        time.sleep(0.5)
    health = image.run_hardened(
        *image.config["Healthcheck"]["Test"][1:], shared=shared, **SCHEDULER
    )
    assert (health.returncode, health.stdout) == (0, "healthy\n"), health
    _stop(process)
    waiting = "SELECT count(*) FROM scoring_queue"
    assert server.psql("-c", waiting, database="pima").strip() == "0"


def _stop(process: subprocess.Popen[str]) -> None:
    """SIGTERM to the container's process 1, as `docker stop` sends it; it must end with 0."""
    (inside,) = subprocess.check_output(["pgrep", "-P", str(process.pid)], text=True).split()
    os.kill(int(inside), signal.SIGTERM)
    _, stderr = process.communicate(timeout=45)
    assert process.returncode == 0, stderr
    _check_json_lines(stderr)
    assert json.loads(stderr.splitlines()[-1])["event"] == "stopped", stderr


if __name__ == "__main__":
    sys.exit(main())
