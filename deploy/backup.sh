#!/bin/sh
# Writes a database into a new file of a folder, and beside it the list of who was forgotten, by which a restore forgets
# them again; prints the names: sh deploy/backup.sh FOLDER
# Which database, and as whom, say libpq's variables (PGHOST, PGDATABASE, PGUSER). PGPASSWORD_FILE, which only this script
# and restore.sh read, names a file with the password. The dump holds patients' data and the holdout's salt, the list
# holds hashes. What the role may not read, such as a clinic's own schema, is left out, and told.
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
# Under a path without the schema public: where everybody may create there, functions of theirs could run.
ask() {
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --tuples-only --no-align --command "SET search_path = pg_catalog" "$@"
}
set -- --format=custom
# What belongs to pima's owner is never left out: a role that may not read it ends with an error.
unreadable=$(ask --command "
    SELECT 'schema=' || quote_ident(nspname) FROM pg_namespace
    WHERE nspname !~ '^(pg_|information_schema$)' AND NOT has_schema_privilege(oid, 'USAGE')
        AND oid NOT IN (SELECT relnamespace FROM pg_class WHERE relname = 'scoring_queue' AND relkind = 'r')
    UNION ALL SELECT 'table=' || quote_ident(nspname) || '.' || quote_ident(relname)
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE nspname !~ '^(pg_|information_schema$)' AND has_schema_privilege(n.oid, 'USAGE')
        AND relkind IN ('r', 'p', 'S', 'm', 'f') AND NOT has_table_privilege(c.oid, 'SELECT')
        AND relowner NOT IN (SELECT relowner FROM pg_class WHERE relname = 'scoring_queue' AND relkind = 'r')
    ORDER BY 1") || exit 1
while read -r each; do
    [ -n "$each" ] || continue
    echo "left out, since this role may not read it: $each" >&2
    set -- "$@" "--exclude-$each"
done <<END
$unreadable
END
pg_dump "$@" --file="$unfinished" &
wait "$!"
mv "$unfinished" "$file.dump"
echo "$file.dump"

# As `python -m jobs.forget --export` writes it; of each schema that has one.
schemas=$(ask --command "
    SELECT quote_ident(nspname) FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
    WHERE relname = 'forgotten' AND relkind = 'r' AND has_schema_privilege(n.oid, 'USAGE')
        AND has_table_privilege(c.oid, 'SELECT') ORDER BY 1") || exit 1
while read -r schema; do
    ask --output="$unfinished" \
        --command "SELECT mark FROM $schema.forgotten WHERE mark NOT LIKE 'id %' ORDER BY mark COLLATE \"C\"" \
        --command "SELECT 'pima forgotten 1 ' || encode(sha256(convert_to(forgetting_salt, 'UTF8')), 'hex') FROM $schema.installation" &
    wait "$!"
    list=$file.$schema.forgotten
    [ "$schema" != public ] || list=$file.forgotten
    mv "$unfinished" "$list"
    echo "$list"
done <<END
$schemas
END
