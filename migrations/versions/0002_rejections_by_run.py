"""Rejections are found by the run that made them. Those of sources that are there already count as seen by no run.

Revision ID: 0002
"""

from alembic import op
from sqlalchemy import BigInteger, Column, Integer

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    # SQLite's STRICT tables know no BIGINT.
    op.add_column("source_rejections", Column("run_id", BigInteger().with_variant(Integer(), "sqlite")))
    op.execute("UPDATE source_rejections SET run_id = 0")
    op.execute("CREATE INDEX ix_source_rejections_run_id ON source_rejections (source, run_id)")
    op.execute("CREATE INDEX ix_rejections_run_id ON rejections (run_id)")
