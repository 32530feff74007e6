#!/bin/sh
# Draws a password for each role and writes it, and the URL with it, as files for compose.yaml. In a folder that is there
# it adds what lacks, such as after an update, and leaves the rest; then give the HOST:PORT that was given before.
# sh deploy/secrets.sh [FOLDER] [HOST:PORT]    (default: secrets, database:5432)
set -eu
folder=${1:-secrets}
address=${2:-database:5432}

# The folder is its owner's alone; the files in it may be read by whoever gets one mounted, such as the image's user.
is_new=
[ -d "$folder" ] || { mkdir -m 0700 "$folder"; is_new=yes; }
umask 0022
for role in postgres pima_owner pima_scheduler pima_scorer pima_trainer pima_loader pima_writer pima_operator pima_eraser pima_reader pima_monitor; do
    file=$folder/${role}_password
    if [ ! -e "$file" ]; then
        password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
        echo "$password" >"$file"
        # A server that is there reads none of these files again.
        [ -n "$is_new" ] || cat <<END
$role is new. Before \`docker compose up\` make it on the server; if it is there, only its password changes:
    echo "CREATE ROLE $role LOGIN; ALTER ROLE $role PASSWORD '\$(cat $file)'" | docker compose exec -T database psql --quiet
END
    fi
    [ -e "$folder/${role}_url" ] || echo "postgresql+psycopg://$role:$(cat "$file")@$address/pima" >"$folder/${role}_url"
done
# For compose.outside.yaml: empty, nobody is pinged, and nobody is told.
touch "$folder/ping_score_url" "$folder/ping_retrain_url" "$folder/ping_pull_url" "$folder/alerts_urls"
