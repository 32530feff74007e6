"""How autovacuum keeps the queue, and one index less.

Frozen: this file imports nothing of the code.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Filled and emptied every night, the queue has no size that a share of it could be taken of: a number of dead rows
# decides. Without pauses, a night's 100,000 dead rows are gone within a second.
_KEPT_SMALL = (
    "autovacuum_vacuum_scale_factor",
    "autovacuum_vacuum_threshold",
    "autovacuum_vacuum_cost_delay",
)


def upgrade() -> None:
    # One row a file: the table is read whole in no time.
    op.execute("DROP INDEX ix_loads_sha256")
    if op.get_bind().dialect.name == "postgresql":
        settings = ", ".join(f"{name} = {value}" for name, value in zip(_KEPT_SMALL, (0, 1000, 0), strict=True))
        op.execute(f"ALTER TABLE scoring_queue SET ({settings})")


def downgrade() -> None:
    op.execute("CREATE INDEX ix_loads_sha256 ON loads (sha256)")
    if op.get_bind().dialect.name == "postgresql":
        op.execute(f"ALTER TABLE scoring_queue RESET ({', '.join(_KEPT_SMALL)})")
