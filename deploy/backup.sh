#!/bin/sh
# Writes the whole database into a new file of a folder, and beside it the list of who was forgotten, by which a restore
# forgets them again; prints both names: sh deploy/backup.sh FOLDER
# Which database, and as whom, say libpq's variables (PGHOST, PGDATABASE, PGUSER). PGPASSWORD_FILE, which only this script
# and restore.sh read, names a file with the password. The dump holds patients' data and the holdout's salt, the list
# holds hashes.
set -eu
folder=${1:?a folder for the backup}
if [ -n "${PGPASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat "$PGPASSWORD_FILE")
    export PGPASSWORD
fi

umask 0077
# Two that begin in the same second have names of their own.
drawn=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \n')
file=$folder/$PGDATABASE-$(date -u +%Y%m%dT%H%M%SZ)-$drawn
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
mv "$unfinished" "$file.dump"
echo "$file.dump"

# As `python -m jobs.forget --export` writes it.
psql --no-psqlrc --set=ON_ERROR_STOP=1 --tuples-only --no-align --output="$unfinished" \
    --command "SELECT mark FROM forgotten WHERE mark NOT LIKE 'id %' ORDER BY mark COLLATE \"C\"" \
    --command "SELECT 'pima forgotten 1 ' || encode(sha256(convert_to(forgetting_salt, 'UTF8')), 'hex') FROM installation" &
wait "$!"
mv "$unfinished" "$file.forgotten"
echo "$file.forgotten"
