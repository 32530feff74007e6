"""Generations of the holdout: which share it has had since when, who decided so and why, and each version's own.

The first one has the share that the champion was fitted under, whatever the settings say by now: with another share,
rows that it learned from would be in its test set.

Frozen: this file imports nothing of the code.
"""

import json
from typing import Any

from alembic import op
from sqlalchemy import text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

SQLITE = {"id": "INTEGER", "real": "REAL", "time": "TEXT", "end": "STRICT"}
SQLITE["now"] = "(strftime('%Y-%m-%dT%H:%M:%fZ', 'now'))"
POSTGRESQL = {"id": "BIGINT", "real": "DOUBLE PRECISION", "time": "TIMESTAMP WITH TIME ZONE", "end": ""}
POSTGRESQL["now"] = "clock_timestamp()"

UPGRADE = (
    """CREATE TABLE holdout_generations (
        number {id} NOT NULL CONSTRAINT pk_holdout_generations PRIMARY KEY,
        share {real} NOT NULL,
        since {time} NOT NULL DEFAULT {now},
        decided_by TEXT NOT NULL,
        reason TEXT NOT NULL,
        CONSTRAINT ck_holdout_generations_number CHECK (number > 0),
        CONSTRAINT ck_holdout_generations_share CHECK (share > 0 AND share < 1)
    ) {end}""",
    # NULL for versions from before this revision whose share is not the first generation's; their settings tell theirs.
    "ALTER TABLE model_versions ADD COLUMN holdout_generation {id}",
)
DOWNGRADE = (
    "ALTER TABLE model_versions DROP COLUMN holdout_generation",
    "DROP TABLE holdout_generations",
)


def upgrade() -> None:
    words = SQLITE if _is_sqlite() else POSTGRESQL
    for statement in UPGRADE:
        _run(statement.format(**words))
    shares = _shares()
    first = _first_share(shares)
    if first is None:
        return  # nothing was fitted yet: the settings decide, as they do for the salt
    _execute(
        "INSERT INTO holdout_generations (number, share, decided_by, reason) VALUES (1, :share, 'migrate', :reason)",
        share=first,
        reason="the share that the champion, or else the newest version, was fitted under",
    )
    for number, share in shares.items():
        if share == first:
            _execute("UPDATE model_versions SET holdout_generation = 1 WHERE number = :number", number=number)


def downgrade() -> None:
    for statement in DOWNGRADE:
        _run(statement)


def _shares() -> dict[int, float]:
    """Each version's share of the holdout, by its number."""
    found = {}
    for number, settings in _execute("SELECT number, settings FROM model_versions ORDER BY number"):
        # Read here and not by the database, so that both give the very number that the settings were written with.
        known = json.loads(settings) if isinstance(settings, str) else settings
        if "holdout_share" in known:
            found[number] = float(known["holdout_share"])
    return found


def _first_share(shares: dict[int, float]) -> float | None:
    """The champion's; where there is none, the newest version's; None where there is no version."""
    champion = _execute("SELECT model_version FROM champion").scalar()
    return shares.get(champion, shares[max(shares)] if shares else None)


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")


def _execute(statement: str, **parameters: object) -> Any:
    return op.get_bind().execute(text(statement), parameters)


def _run(statement: str) -> None:
    # Straight to the driver: the texts hold colons and percent signs that are no parameters.
    op.get_bind().exec_driver_sql(statement if _is_sqlite() else statement.replace("%", "%%"))
