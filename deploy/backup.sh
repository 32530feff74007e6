#!/bin/sh
# Writes the whole database into a new file of a folder and prints its name: sh deploy/backup.sh FOLDER
# Which database, and as whom, say libpq's variables (PGHOST, PGDATABASE, PGUSER); PGPASSWORD_FILE names a file with the
# password. The file holds patients' data and the holdout's salt.
set -eu
folder=${1:?a folder for the backup}
if [ -n "${PGPASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat "$PGPASSWORD_FILE")
    export PGPASSWORD
fi

umask 0077
file=$folder/$PGDATABASE-$(date -u +%Y%m%dT%H%M%SZ).dump
# A file without this ending is whole.
unfinished=$file.unfinished
trap 'rm -f "$unfinished"' EXIT
pg_dump --format=custom --file="$unfinished"
mv "$unfinished" "$file"
echo "$file"
