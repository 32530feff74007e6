#!/bin/sh
# Reads a dump of deploy/backup.sh into an empty database, all of it or nothing: sh deploy/restore.sh FILE
# The variables are those of deploy/backup.sh. The roles must be there, as deploy/roles.sql makes them. A superuser restores
# all of it as it was; any other role what belongs to the owner of pima's tables, and becomes the owner of that. Whoever was
# forgotten since the backup is back then, and is forgotten again before anything starts.
set -eu
file=${1:?a file of deploy/backup.sh}
if [ -n "${PGPASSWORD_FILE:-}" ]; then
    PGPASSWORD=$(cat "$PGPASSWORD_FILE")
    export PGPASSWORD
fi

ask() {
    psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --tuples-only --no-align --command "SET search_path = pg_catalog" --command "$1"
}
# pg_restore makes the triggers after the rows are in. Where they are there before, they would stamp each row anew.
tables=$(ask "SELECT count(*) FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema')")
if [ "$tables" -ne 0 ]; then
    echo "the database $PGDATABASE is not empty, it has $tables tables: make a new one (CREATE DATABASE)" >&2
    exit 1
fi
if [ -n "$(ask "SELECT 1 FROM pg_namespace, aclexplode(nspacl) WHERE nspname = 'public' AND grantee = 0 AND privilege_type = 'CREATE'")" ]; then
    echo "everybody may create in the schema public of $PGDATABASE. First, in it, as a superuser: REVOKE CREATE ON SCHEMA public FROM PUBLIC; GRANT CREATE ON SCHEMA public TO pima_owner" >&2
    exit 1
fi

contents=$(pg_restore --list "$file")
set -- --single-transaction --dbname="$PGDATABASE"
if [ "$(ask "SELECT rolsuper FROM pg_roles WHERE rolname = current_user")" = t ]; then
    pg_restore "$@" "$file"
else
    # The last word of a line is the owner; a clinic may have a table patients, too. A function of somebody else would get
    # this role's rights.
    owners=$(echo "$contents" | awk '$4 == "TABLE" && $6 == "scoring_queue" && NF == 7 { print $7 }')
    echo "$contents" | awk -v owners="$owners" '
        BEGIN { split(owners, names, "\n"); for (n in names) ours[names[n]] }
        / $/ || $NF in ours || / ACL - SCHEMA public / { print; next }
        /^[0-9]/ { print "left out, since it is not of the owner of the tables of pima: " $0 >"/dev/stderr" }' |
        pg_restore "$@" --no-owner --use-list=/dev/stdin "$file"
fi
echo "restored. Start nothing yet: python -m jobs.forget --import LIST --reason TEXT, with the newest list that there is"
