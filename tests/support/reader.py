"""A reader who types what the pages show, in a folder of their own."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.databases import call, clean_environ
from tests.support.shipped import ROOT

_JOB = re.compile(r"python -m jobs\.(\w+)([^|<>&;$*\\\n]*)\n")
_EXPORT = re.compile(r"export (\w+)=([^|<>&;$*\\\s]+)\n")


class Reader:
    """Types one block after another. A line that is one of pima's commands and nothing else runs in
    this process, which has TensorFlow already: a process of its own takes four seconds for that
    alone. All else runs in bash."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._for_bash = clean_environ() | {"PATH": path, "PYTHONPATH": str(ROOT)}
        self._exported: dict[str, str] = {}

    def types(self, block: str) -> str:
        """What it prints. Each command must succeed."""
        return "".join(map(self._prints, _parts(block)))

    def _prints(self, part: str) -> str:
        if export := _EXPORT.fullmatch(part):
            self._exported[export[1]] = export[2]
            return ""
        if job := _JOB.fullmatch(part):
            ended = call(None, job[1], *shlex.split(job[2], comments=True), **self._exported)
            assert ended.exit_code == 0, part + ended.stdout + ended.stderr
            return ended.stdout
        return self._in_bash(part)

    def _in_bash(self, part: str) -> str:
        ended = subprocess.run(
            ["bash", "-e", "-o", "pipefail"],
            input=part,
            env=self._for_bash | self._exported,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 0, part + ended.stdout + ended.stderr
        return ended.stdout


def _parts(block: str) -> Iterator[str]:
    """The lines that run by themselves, and between them what bash takes as a whole."""
    for_bash = ""
    for line in block.splitlines(keepends=True):
        if not (_JOB.fullmatch(line) or _EXPORT.fullmatch(line)):
            for_bash += line
            continue
        if for_bash:
            yield for_bash
        for_bash = ""
        yield line
    if for_bash:
        yield for_bash
