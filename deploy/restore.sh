#!/bin/sh
# Reads a dump of deploy/backup.sh into an empty database, all of it or nothing: sh deploy/restore.sh FILE
# The variables are those of deploy/backup.sh. The roles must be there, as deploy/roles.sql makes them. Whoever was
# forgotten since the backup is back then, and is forgotten again before anything starts.
set -eu
file=${1:?a file of deploy/backup.sh}
if [ -n "${PGPASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat "$PGPASSWORD_FILE")
    export PGPASSWORD
fi

# pg_restore makes the triggers after the rows are in. Where they are there before, they would stamp each row anew.
tables=$(psql --no-psqlrc --tuples-only --no-align --command \
    "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
if [ "$tables" -ne 0 ]; then
    echo "the database $PGDATABASE is not empty, it has $tables tables: make a new one (CREATE DATABASE)" >&2
    exit 1
fi
pg_restore --single-transaction --no-owner --dbname="$PGDATABASE" "$file"
echo "restored. Start nothing yet: python -m jobs.forget --import LIST --reason TEXT, with the newest list that there is"
