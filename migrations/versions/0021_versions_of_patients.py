"""A view of which version each row of patients has, for whoever counts the rows that have no prediction.

With the owner's rights on PostgreSQL: who reads it needs none on patients, and learns no value and no outcome.

Frozen: this file imports nothing of the code.
"""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None

# The condition is that of ix_patients_unstamped, as one: by a part of it neither database would go by the index.
PATIENT_VERSIONS = """CREATE VIEW patient_versions AS
    SELECT id AS patient_id, version AS patient_version, outcome IS NOT NULL AS is_labelled,
        ((outcome IS NULL) <> (labelled_at IS NULL) OR (version = 0 AND outcome IS NULL)) AS lacks_stamps
    FROM patients"""


def upgrade() -> None:
    op.get_bind().exec_driver_sql(PATIENT_VERSIONS)


def downgrade() -> None:
    op.execute("DROP VIEW patient_versions")
