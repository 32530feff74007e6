"""Which packages pima is run with, and whether their licences are on the list.

What a wheel holds of others, such as the OpenSSL of psycopg, stands in the wheel's own files; no
package declares it.
"""

import tomllib
from collections.abc import Iterable, Set
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

from tests.support.shipped import ROOT

CONSTRAINTS = ROOT / "locks" / "constraints.txt"


def _allowed() -> frozenset[str]:
    groups = tomllib.loads(Path(__file__).with_name("licences.toml").read_text())["allowed"]
    return frozenset(text for group in groups for text in group["declared"])


ALLOWED = _allowed()


def pinned() -> dict[str, str]:
    """All packages of pima and its extras on this platform, with their tested versions."""
    wanted = [Requirement(line) for line in CONSTRAINTS.read_text().splitlines()]
    here = [each for each in wanted if each.marker is None or each.marker.evaluate()]
    return {each.name: str(each.specifier).removeprefix("==") for each in here}


def declared(name: str) -> list[str]:
    """Its expression; without one, all classifiers and a licence that is named in one line."""
    metadata = distribution(name).metadata
    if expression := metadata.get("License-Expression"):
        return [expression]
    texts = [each for each in metadata.get_all("Classifier", []) if each.startswith("License ::")]
    licence = metadata.get("License", "").strip()
    # matplotlib has all of its licence there; its classifier names it.
    if licence and "\n" not in licence:
        texts.append(licence)
    return texts or [f"none declared by {name}"]


def refused(names: Iterable[str], allowed: Set[str] = ALLOWED) -> dict[str, list[str]]:
    """Those of which a licence is not on the list -> these licences."""
    unknown = {name: [text for text in declared(name) if text not in allowed] for name in names}
    return {name: texts for name, texts in unknown.items() if texts}
