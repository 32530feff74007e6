"""`make release`: the files of a release in build/release, and both images where a builder is.

It refuses, with a sentence for each reason, where the tree is not clean, or where version, changelog,
pages, dumps and tags disagree.
"""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from tests.releases.packages import git, pack
from tests.support.shipped import ROOT

FOLDER = ROOT / "build" / "release"
MUST_NAME = ("README.md", "Dockerfile", "compose.yaml", "docs/start/install.md")
_NAMES_IT = re.compile(
    r"(?:\bpima:|\bpima_scoring-|^ARG VERSION=|^Version )(\d+\.\d+\.\d+)", re.MULTILINE
)
"""How a page names the version that it is of; what earlier ones did is told in other words."""
_BUILDERS = ("docker", "podman", "buildah")


def main() -> int:
    """0; 2 with the reasons; 1 if a builder fails."""
    found = list(faults(ROOT))
    if found:
        print("No release was made.", *found, sep="\n", file=sys.stderr)
        return 2
    version = version_of(ROOT)
    pack(FOLDER)
    print(*sorted(FOLDER.iterdir()), sep="\n")
    if command := tagging(ROOT):
        print(f"Publish it by: {command}")
    builder = next(filter(_works, _BUILDERS), None)
    if builder is None:
        print(f"No images were built: none of {', '.join(_BUILDERS)} works here.")
        return 0
    for tag, target in ((version, "train"), (f"{version}-score", "score")):
        facts = {"VERSION": version, "REVISION": git("rev-parse", "HEAD")}
        facts |= {name: os.environ[name] for name in ("BASE",) if name in os.environ}
        given = [f"--build-arg={name}={value}" for name, value in facts.items()]
        command = [builder, "build", f"--target={target}", f"--tag=pima:{tag}", *given, "."]
        if subprocess.run(command, cwd=ROOT).returncode != 0:
            print(f"The image pima:{tag} was not built: {builder} says why above.", file=sys.stderr)
            return 1
        print(f"pima:{tag}, by {builder}")
    return 0


def _works(builder: str) -> bool:
    if shutil.which(builder) is None:
        return False
    return subprocess.run([builder, "info"], capture_output=True).returncode == 0


def version_of(root: Path) -> str:
    """The version in pyproject.toml."""
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    return str(project["version"])


def tagging(root: Path) -> str | None:
    """Write the command that tags the commit and pushes the tag; None if it has its tag."""
    tag = f"v{version_of(root)}"
    if tag in git("tag", "--points-at", "HEAD", at=root).split():
        return None
    return f"git tag {tag} {git('rev-parse', 'HEAD', at=root)} && git push origin {tag}"


def faults(root: Path) -> Iterator[str]:
    """Why no release can be made of a clone, each a sentence."""
    version = version_of(root)
    changed = git("status", "--porcelain", at=root).splitlines()
    if changed:
        names = ", ".join(line.split(maxsplit=1)[1] for line in changed)
        yield f"The tree is not clean: commit or remove {names}."
    yield from _of_changelog((root / "CHANGELOG.md").read_text(), version)
    yield from _of_pages(root, version)
    if not (root / "tests" / "releases" / version).is_dir():
        yield (
            f"tests/releases/{version} is missing: `python -m tests.releases` makes the dumps on "
            "which later releases are tried."
        )
    yield from _of_tags(root, f"v{version}")


def _of_changelog(text: str, version: str) -> Iterator[str]:
    headings = re.findall(r"^## (.*)$", text, re.MULTILINE)
    if "Unreleased" in headings:
        yield "CHANGELOG.md has lines under Unreleased: they belong to a version."
    newest = next((each for each in headings if each != "Unreleased"), "none")
    dated = re.fullmatch(rf"{re.escape(version)} \((.*)\)", newest)
    if dated is None or not _is_a_day(dated[1]):
        yield (
            f"The newest heading of CHANGELOG.md is {newest}: expected {version} and its day, as "
            f"{version} (2026-12-31)."
        )


def _is_a_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _of_pages(root: Path, version: str) -> Iterator[str]:
    pages = git("ls-files", "*.md", "Dockerfile", "compose*.yaml", "deploy", at=root).splitlines()
    for name in sorted({*pages, *MUST_NAME} - {"CHANGELOG.md"}):
        page = root / name
        named = set(_NAMES_IT.findall(page.read_text())) if page.exists() else set()
        for other in sorted(named - {version}):
            yield f"{name} names version {other}: expected {version}, as in pyproject.toml."
        if name in MUST_NAME and not named:
            yield f"{name} names no version: expected {version}."


def _of_tags(root: Path, tag: str) -> Iterator[str]:
    here = [each for each in git("tag", "--points-at", "HEAD", at=root).split() if each[0] == "v"]
    for other in sorted({*here} - {tag}):
        yield f"This commit has the tag {other}: expected {tag}."
    if tag not in here and git("tag", "--list", tag, at=root):
        yield f"The tag {tag} is another commit's: give this one the next version."


if __name__ == "__main__":
    sys.exit(main())
