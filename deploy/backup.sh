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
# Two that begin in the same second have names of their own.
drawn=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
file=$folder/$PGDATABASE-$(date -u +%Y%m%dT%H%M%SZ)-$drawn.dump
# A file without this ending is whole.
unfinished=$file.unfinished

# A shell that a signal ends runs no EXIT trap, and its pg_dump would go on writing.
stop() {
    trap '' HUP INT TERM
    if [ -n "${!:-}" ]; then
        kill "$!" 2>/dev/null || true
        wait "$!" || true
    fi
    exit "$1"
}
trap 'rm -f "$unfinished"' EXIT
trap 'stop 129' HUP
trap 'stop 130' INT
trap 'stop 143' TERM
pg_dump --format=custom --file="$unfinished" &
wait "$!"
mv "$unfinished" "$file"
echo "$file"
