"""SQLite's words for what stands in statements that are otherwise the same."""

from pima.store.database import Words

WORDS = Words(
    now="strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
    in_seconds="strftime('%Y-%m-%dT%H:%M:%fZ', 'now', :seconds || ' seconds')",
    labelled_at_milliseconds=(
        "CAST(strftime('%s', labelled_at) AS INTEGER) * 1000 + CAST(substr(labelled_at, 21, 3) AS INTEGER)"
    ),
    moment_of_milliseconds="strftime('%Y-%m-%dT%H:%M:%fZ', {} / 1000.0, 'unixepoch')",
    parameter="?",
    is_one_of="IN (SELECT value FROM json_each(?))",
    temporary_schema="temp",
    constraints_at_once="PRAGMA defer_foreign_keys = OFF",
    name_of_revisions_table="SELECT name FROM sqlite_master WHERE name = 'alembic_version'",
    # A given id moves the counter, so a trigger holds the upper bound.
    next_id="NULL",
    id_in_range="id > 0",
    source_is_name="source GLOB '[a-z]*' AND source NOT GLOB '*[^a-z0-9_]*' AND length(source) <= 30",
    source_key_in_range=(
        "(source IS NULL) = (source_key IS NULL) AND length(CAST(source_key AS BLOB)) BETWEEN 1 AND 200"
    ),
    person_key_in_range="length(CAST(person_key AS BLOB)) BETWEEN 1 AND 200",
    differs="IS NOT",
    next_version="0",
    last_version="SELECT last FROM patient_version_counter",
    # Of two writers one waits, so that versions tell it all.
    first_writer="SELECT 0",
    came_before_writer=":writer = 0",
    sources_of_run="json_each(runs.counts, '$.sources') AS item",
    keeps_deleted="blocks that the disk has freed, of this file, of its journals and of temporary files",
)
