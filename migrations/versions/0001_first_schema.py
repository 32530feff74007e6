"""The first schema. A new database is made by pima/store/schema.sql, as it is today; revisions
bring older ones there.

Revision ID: 0001
"""

revision = "0001"
down_revision = None
