"""What a database knows against the pinned packages, asked by pip-audit.

Without a database there is no answer. A mirror of the package index that keeps no vulnerabilities
knows no package; unless it is strict, pip-audit then says that none were found, and ends with 0.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.audit.licences import CONSTRAINTS

PROGRAM = Path(sys.executable).with_name("pip-audit")
OPTIONS = ("--no-deps", "--disable-pip", "--strict", "--format=json", "--progress-spinner=off")


class NotLookedUp(Exception):
    """No database has answered for every package."""


def known(options: Sequence[str] = (), packages: Path = CONSTRAINTS) -> list[str]:
    """A line for each known vulnerability. Raises NotLookedUp."""
    ended = subprocess.run(
        [PROGRAM, f"--requirement={packages}", *OPTIONS, *options],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    try:
        found = json.loads(ended.stdout)["dependencies"]
    except ValueError:
        raise NotLookedUp(*ended.stderr.splitlines()[-1:]) from None
    return [
        f"{package['name']} {package['version']}: {each['id']} ({', '.join(each['aliases'])}),"
        f" mended in {', '.join(each['fix_versions']) or 'no version yet'}"
        for package in found
        for each in package["vulns"]
    ]
