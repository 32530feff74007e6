#!/bin/sh
# Draws a password for each role and writes it, and the URL with it, as files for compose.yaml.
# sh deploy/secrets.sh [FOLDER] [HOST:PORT]    (default: secrets, database:5432)
set -eu
folder=${1:-secrets}
address=${2:-database:5432}

if [ -e "$folder" ]; then
    echo "$folder is there already; other passwords would not fit the database that was made with these" >&2
    exit 1
fi
# The folder is its owner's alone; the files in it may be read by whoever gets one mounted, such as the image's user.
mkdir -m 0700 "$folder"
umask 0022
for role in postgres pima_owner pima_scheduler pima_scorer pima_trainer pima_loader pima_operator pima_reader; do
    password=$(od -An -N24 -tx1 /dev/urandom | tr -d ' \n')
    echo "$password" >"$folder/${role}_password"
    echo "postgresql+psycopg://$role:$password@$address/pima" >"$folder/${role}_url"
done
# For compose.outside.yaml: empty, nobody is pinged.
touch "$folder/ping_score_url" "$folder/ping_retrain_url"
