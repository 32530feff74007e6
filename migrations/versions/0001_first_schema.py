"""The first schema, as `0001_sqlite.sql` and `0001_postgresql.sql` beside this file have it.

The columns of the shipped features stand there between two markers; those of the declaration take their place.
"""

import re
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from alembic import context, op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_FEATURES = re.compile(r"( *-- features\n).*?( *-- end of features\n)", re.DOTALL)
_REAL = {"sqlite": "REAL", "postgresql": "DOUBLE PRECISION"}


def upgrade() -> None:
    """Make all tables, views and indexes, with the columns in `attributes["columns"]` for the features."""
    dialect = op.get_bind().dialect.name
    script = Path(__file__).with_name(f"0001_{dialect}.sql").read_text("utf-8")
    columns = "".join(f'    "{name}" {_REAL[dialect]},\n' for name in context.config.attributes["columns"])
    for statement in _statements(_FEATURES.sub(rf"\g<1>{columns}\g<2>", script)):
        # Straight to the driver: the text holds colons that are no parameters.
        op.get_bind().exec_driver_sql(statement)


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one at a time: sqlite3's own way to run several commits first."""
    lines: list[str] = []
    for line in script.splitlines(keepends=True):
        lines.append(line)
        if sqlite3.complete_statement("".join(lines)):
            yield "".join(lines)
            lines.clear()
