"""What stands beside a verdict: the evidence of both models on its rows.

Going back, the evidence is lost, and so are bands that features declare: an older release knows neither.

Frozen: this file imports nothing of the code.
"""

import json
from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(f"ALTER TABLE promotions ADD COLUMN evidence {'TEXT' if _is_sqlite() else 'JSONB'}")


def downgrade() -> None:
    op.execute("ALTER TABLE promotions DROP COLUMN evidence")
    for table, column in (("declarations", "declaration"), ("model_versions", "features")):
        _without_bands(table, column)


def _without_bands(table: str, column: str) -> None:
    as_json = ":document" if _is_sqlite() else "CAST(:document AS JSONB)"
    found = _execute(f"SELECT number, CAST({column} AS TEXT) FROM {table} WHERE CAST({column} AS TEXT) LIKE '%bands%'")
    for number, document in found.fetchall():
        kept = json.dumps(_stripped(json.loads(document)), sort_keys=True)
        _execute(f"UPDATE {table} SET {column} = {as_json} WHERE number = :number", document=kept, number=number)


def _stripped(document: Any) -> Any:
    features = document if isinstance(document, list) else document["feature"] + document["retired"]
    for feature in features:
        feature.pop("bands", None)
    return document


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")


def _execute(statement: str, **parameters: object) -> Any:
    return op.get_bind().execute(text(statement), parameters)
