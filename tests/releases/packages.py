"""The files of a release: wheel, source distribution, constraints, and their checksums.

`python -m tests.releases.packages FOLDER` makes them of the tree as it stands (`make wheel`); `make
release` does so only of a clean commit.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support.shipped import ROOT

CHECKSUMS = "SHA256SUMS"


def pack(folder: Path) -> None:
    """Leave these files in an empty folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as copy:
        # Not where people work: setuptools also packs what earlier builds have left there.
        for name in git("ls-files", "--cached", "--others", "--exclude-standard").splitlines():
            if (ROOT / name).exists():
                (Path(copy) / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, Path(copy) / name)
        uv = Path(sys.executable).with_name("uv")
        # Of the source distribution it makes the wheel. Its times are the commit's.
        environ = os.environ | {"SOURCE_DATE_EPOCH": git("log", "-1", "--format=%ct")}
        build = [uv, "build", "--quiet", "--out-dir", folder.resolve()]
        subprocess.run(build, cwd=copy, env=environ, check=True)
    shutil.copy(ROOT / "locks" / "constraints.txt", folder)
    (folder / ".gitignore").unlink(missing_ok=True)
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
        for file in sorted(folder.iterdir())
    ]
    (folder / CHECKSUMS).write_text("".join(lines))


def git(*arguments: str, at: Path = ROOT) -> str:
    """What git says."""
    ended = subprocess.run(["git", *arguments], cwd=at, capture_output=True, text=True, check=True)
    return ended.stdout.strip()


if __name__ == "__main__":
    pack(Path(sys.argv[1]))
