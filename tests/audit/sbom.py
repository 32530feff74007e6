"""The list of parts (SBOM) in the form CycloneDX, of what this environment runs pima with."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from tests.audit.licences import pinned
from tests.support.shipped import ROOT

PROGRAM = Path(sys.executable).with_name("cyclonedx-py")


def sbom() -> dict[str, Any]:
    """Without what only tests and tools bring; each part in the version that is tested."""
    described = subprocess.run(
        [PROGRAM, "environment", sys.prefix, f"--pyproject={ROOT / 'pyproject.toml'}"],
        capture_output=True,
        check=True,
    )
    whole = json.loads(described.stdout)
    versions = pinned()
    parts = [each for each in whole["components"] if _pinned_name(each) in versions]
    found = {_pinned_name(each): each["version"] for each in parts}
    if found != versions:
        raise SystemExit(
            f"not as locks/constraints.txt pins it: {found.items() ^ versions.items()}"
        )
    kept = {each["bom-ref"] for each in (*parts, whole["metadata"]["component"])}
    needs = [
        each | {"dependsOn": [need for need in each.get("dependsOn", []) if need in kept]}
        for each in whole["dependencies"]
        if each["ref"] in kept
    ]
    return whole | {"components": parts, "dependencies": needs}


def _pinned_name(part: dict[str, Any]) -> str:
    return canonicalize_name(part["name"])
