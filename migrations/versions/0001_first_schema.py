"""The first schema; its statements stand in the .sql file of each database.

Revision ID: 0001
"""

import re
from pathlib import Path

from alembic import context, op

from pima.store.schema import statements

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
    for statement in statements(_FEATURES.sub(rf"\g<1>{columns}\g<2>", script)):
        # Straight to the driver: the text holds colons that are no parameters.
        op.get_bind().exec_driver_sql(statement)
