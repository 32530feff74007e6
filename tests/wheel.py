"""A trial of the wheel in build/wheel: installed into an empty environment, it works from any
folder."""

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tests.support.shipped import ROOT

COMMANDS = (
    ["migrate"],
    ["load", str(ROOT / "pima" / "data" / "pima.csv")],
    ["retrain"],
    ["load", "new.csv"],
    ["score", "--json"],
    ["status"],
)
NEW_PATIENT = "pregnancies,glucose,blood_pressure,skin_thickness,insulin,bmi,diabetes_pedigree,age\n1,120,70,30,0,31.5,0.4,33\n"


def main() -> int:
    """Install the wheel, and run each command in a folder that holds nothing."""
    (wheel,) = (ROOT / "build" / "wheel").glob("*.whl")
    with tempfile.TemporaryDirectory(prefix="pima-wheel-", dir="/var/tmp") as made:
        python, folder = Path(made) / "env" / "bin" / "python", Path(made) / "empty"
        venv.create(Path(made) / "env", with_pip=True)
        folder.mkdir()
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        locked = ["--require-hashes", "--only-binary", ":all:", "-r", ROOT / "locks" / "train.txt"]
        subprocess.run([*pip, *locked], check=True)
        subprocess.run([*pip, "--no-deps", wheel], check=True)
        (folder / "new.csv").write_text(NEW_PATIENT)
        named = ("PIMA_", "PYTHON", "DATABASE_")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(named)}
        for command, *arguments in COMMANDS:
            print(f"python -m jobs.{command} {' '.join(arguments)}", flush=True)
            subprocess.run(
                [python, "-m", f"jobs.{command}", *arguments], cwd=folder, env=environ, check=True
            )
    print("the wheel migrated, loaded, retrained and scored")
    return 0


if __name__ == "__main__":
    sys.exit(main())
