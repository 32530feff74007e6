"""The `.sql` files: read for the declared features, and one statement at a time."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from pima.store.columns import column

_FEATURES = re.compile(r"/\* features \*/(.*?)/\* end \*/", re.DOTALL)
_FIRST = "pregnancies"
"""The first of the features that the files have, of whose text the others are copies."""


def read_script(path: Path, features: Sequence[str]) -> str:
    """Return the file's text with these features in the place of the shipped ones.

    Between `/* features */` and `/* end */` stands a list of one expression a feature, with commas or ORs between them.
    """

    def listed(found: re.Match[str]) -> str:
        shipped = " ".join(found[1].split())
        separator = " OR " if " OR " in shipped else ", "
        first = shipped.split(separator)[0]
        return separator.join(first.replace(_FIRST, column(name)) for name in features)

    return _FEATURES.sub(listed, path.read_text("utf-8"))


def statements(script: str) -> Iterator[str]:
    """Give the statements of a script in SQLite's language; what stands between them is left out.

    One at a time, since sqlite3's own way to run several commits first.
    """
    import sqlite3  # imported here: scoring on PostgreSQL needs none of it

    lines: list[str] = []
    for line in script.splitlines(keepends=True):
        if lines or not (line.isspace() or line.startswith("--")):
            lines.append(line)
        if lines and sqlite3.complete_statement("".join(lines)):
            yield "".join(lines)
            lines.clear()
