"""`make audit`: the packages of pima, their licences, and what is known against them.

It ends with 1 where a licence is refused, a vulnerability is known, or no database could be asked.
Arguments are those of pip-audit, as of which database it asks.
"""

import json
import sys
from collections.abc import Sequence

from tests.audit.licences import pinned, refused
from tests.audit.sbom import sbom
from tests.audit.vulnerabilities import NotLookedUp, known
from tests.support.shipped import ROOT

SBOM = ROOT / "build" / "audit" / "sbom.json"


def main(options: Sequence[str]) -> int:
    """The exit code."""
    SBOM.parent.mkdir(parents=True, exist_ok=True)
    SBOM.write_text(json.dumps(sbom(), indent=1))
    print(f"SBOM of {len(pinned())} packages: {SBOM}")
    licences = refused(pinned())
    print(f"licences that are not in tests/audit/licences.toml: {len(licences)}")
    for name, texts in licences.items():
        print(f"  {name}: {'; '.join(texts)}. Read it, and add it with a reason if it may come.")
    return 1 if _vulnerable(options) or licences else 0


def _vulnerable(options: Sequence[str]) -> bool:
    """Whether something is known, or may be."""
    try:
        lines = known(options)
    except NotLookedUp as why:
        print(f"known vulnerabilities: NOT LOOKED UP, no database answered: {why}")
        return True
    print(f"known vulnerabilities: {len(lines)}", *lines, sep="\n  ")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
