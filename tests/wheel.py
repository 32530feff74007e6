"""A trial of the files in build/wheel, on each of the Pythons that are named: installed by the
commands of docs/start/install.md, pima works from a folder that holds nothing of it."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.support.pages import PAGES, blocks
from tests.support.shipped import ROOT, SHIPPED

INSTALL, CHECKED, FIRST_NIGHT = (
    block.text for block in blocks(PAGES["docs/start/install.md"].read_text())
)
# A file of rows, from the database that the first night has left.
TO_PARQUET = "import pandas; pandas.read_sql('SELECT * FROM patients', 'sqlite:///pima.db').to_parquet('rows.parquet')"
MORE = f"""
pima load new.csv
pima score --json
pima status
pima models export 1 --out version-1.pima
python -c "{TO_PARQUET}"
pima score --input rows.parquet --output scored --model version-1.pima
pima trial history.csv --yes
pima health --why extra_missing
python -m jobs.health --why extra_missing
{{ pima health --why nothing 2>&1 || true; }} | grep 'site-packages/pima/docs/reference/errors.md'
"""
NEW_PATIENT = "pregnancies,glucose,blood_pressure,skin_thickness,insulin,bmi,diabetes_pedigree,age\n1,120,70,30,0,31.5,0.4,33\n"
# Each file that a message may name, by the module's own pattern.
NAMED = """
from pima.errors.places import FOLDER, _NAMED
texts = [file.read_text() for room in (FOLDER, FOLDER.parent / "jobs") for file in room.rglob("*.py")]
named = {each for text in texts for each in _NAMED.findall(text)}
assert "docs/do/symptoms.md" in named
assert all((FOLDER / each).exists() for each in named), named
"""


def main(*pythons: str) -> int:
    """Try each Python that is there; 0 if there was one and all did its work."""
    tried = [name for name in pythons if (program := shutil.which(name)) and _try(program)]
    print(f"the wheel was installed and used with {', '.join(tried) or 'no Python'}")
    return 0 if tried else 2


def _try(program: str) -> bool:
    print(f"--- {program}", flush=True)
    with tempfile.TemporaryDirectory(prefix="pima-wheel-", dir="/var/tmp") as made:
        release, empty, path = (Path(made) / name for name in ("release", "empty", "path"))
        shutil.copytree(ROOT / "build" / "wheel", release)
        for folder in (empty, path):
            folder.mkdir()
        (path / "python3").symlink_to(_itself(program))
        _type(INSTALL, release, path)
        _type(CHECKED, release, path)
        _type("du --summarize --human-readable env checked", release, path)
        programs = release / "env" / "bin"
        _type(f"python -c '{NAMED}'", empty, programs)
        shutil.copy(SHIPPED, empty / "history.csv")
        (empty / "new.csv").write_text(NEW_PATIENT)
        _type(FIRST_NIGHT, empty, programs)
        named = re.findall(r"-r (\S+/train\.txt)", _type(MORE, empty, programs))
        assert [Path(each).exists() for each in named] == [True, True], named
    return True


def _itself(program: str) -> Path:
    """The program behind a name, which may be a script that looks for it."""
    asked = [program, "-c", "import sys; print(sys.executable)"]
    return Path(subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip())


def _type(commands: str, folder: Path, first: Path) -> str:
    """Type commands in a folder, its programs found at `first`, and show what they print."""
    begun = time.monotonic()
    ours = ("PIMA_", "PYTHON", "DATABASE_", "VIRTUAL_ENV")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environ["PATH"] = f"{first}{os.pathsep}{environ['PATH']}"
    ended = subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-x"],
        input=commands,
        cwd=folder,
        env=environ,
        stdout=subprocess.PIPE,
        text=True,
    )
    print(f"{ended.stdout}({time.monotonic() - begun:.0f} s)", flush=True)
    assert ended.returncode == 0, commands
    return ended.stdout


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
