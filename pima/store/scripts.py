"""The .sql files of the schema, adapted to the declared features, and split into statements."""

import re
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import TextClause, text

from pima.core.declared.features import Declaration
from pima.store.engine import column

_LISTED = re.compile(r"/\* (features|scores|copied|groups) \*/(.*?)/\* end \*/", re.DOTALL)
_FIRST = "pregnancies"
"""The first feature in the files; the text of each declared column is a copy of its text."""


def read_script(path: Path, declared: Declaration) -> str:
    """Return the file's text with the declared columns in place of the shipped ones.

    A list between `/* features */` and `/* end */` has one expression for each feature, separated
    by commas or ORs; one after `/* scores */` for each score, after `/* copied */` for both, and
    after `/* groups */` for each group.
    """
    columns = {
        "features": declared.columns,
        "scores": declared.score_columns,
        "copied": declared.copied,
        "groups": declared.group_columns,
    }

    def listed(found: re.Match[str]) -> str:
        shipped = " ".join(found[2].split())
        separator = " OR " if " OR " in shipped else ", "
        first = shipped.split(separator)[0]
        return separator.join(first.replace(_FIRST, column(name)) for name in columns[found[1]])

    return _LISTED.sub(listed, path.read_text("utf-8"))


def read_triggers(folder: Path, declared: Declaration) -> str:
    """Return the text of a database's triggers, and of those for scores and groups where there are
    any."""
    script = read_script(folder / "triggers.sql", declared)
    if declared.score_columns:
        script += read_script(folder / "score_triggers.sql", declared)
    of_groups = folder / "group_triggers.sql"  # PostgreSQL stamps each update, and needs none
    if declared.group_columns and of_groups.exists():
        script += read_script(of_groups, declared)
    return script


def queries(path: Path) -> dict[str, TextClause]:
    """Read the queries of a file by the names in the lines before them: `-- name: ...`."""
    found = re.findall(
        r"^-- name: (\w+)$(.*?)(?=^-- name: |\Z)", path.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return {name: text(query.strip().rstrip(";")) for name, query in found}


def statements(script: str) -> Iterator[str]:
    """Split a script in SQLite's SQL into statements, without the text between them.

    They run one at a time, since sqlite3's `executescript` would commit first.
    """
    import sqlite3  # imported here: scoring on PostgreSQL does not need it

    lines: list[str] = []
    for line in script.splitlines(keepends=True):
        if lines or not (line.isspace() or line.startswith("--")):
            lines.append(line)
        if lines and sqlite3.complete_statement("".join(lines)):
            yield "".join(lines)
            lines.clear()
