"""What outlives a row: whose it was, beside what it was called when it first came, and which versions learned from it.

A row that is gone may have been learned from, and its person may have others. Of rows that were deleted before, only
the persons are known by whom their sides were decided; of versions from before, what their snapshots tell.

Frozen: this file imports nothing of the code.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # By bytes, as SQLite has it.
    key = "TEXT" if _is_sqlite() else 'TEXT COLLATE "C"'
    op.execute(f"ALTER TABLE row_keys ADD COLUMN person_key {key}")
    # patients says it of the rows that are there, also that one has none any more.
    op.execute("""
        UPDATE row_keys SET person_key = CASE
            WHEN EXISTS (SELECT 1 FROM patients p WHERE p.id = patient_id)
                THEN (SELECT p.person_key FROM patients p WHERE p.id = patient_id)
            WHEN substr(side_key, 1, 7) = 'person ' THEN substr(side_key, 8) END""")
    op.execute(f"ALTER TABLE model_versions ADD COLUMN training_ids {'BLOB' if _is_sqlite() else 'BYTEA'}")


def downgrade() -> None:
    op.execute("ALTER TABLE model_versions DROP COLUMN training_ids")
    op.execute("ALTER TABLE row_keys DROP COLUMN person_key")


def _is_sqlite() -> bool:
    return bool(op.get_bind().dialect.name == "sqlite")
