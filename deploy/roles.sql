-- For psql as a superuser: the database, its owner, and the jobs' roles with their passwords. What each may do comes from
-- `python -m jobs.migrate --roles`, which the owner runs. What is there is left as it is, passwords too.
\set ON_ERROR_STOP on
-- No function that somebody else has made is found.
SET search_path = pg_catalog;
\set owner `cat "${PIMA_SECRETS:-/run/secrets}/pima_owner_password"`
\set scheduler `cat "${PIMA_SECRETS:-/run/secrets}/pima_scheduler_password"`
\set scorer `cat "${PIMA_SECRETS:-/run/secrets}/pima_scorer_password"`
\set trainer `cat "${PIMA_SECRETS:-/run/secrets}/pima_trainer_password"`
\set loader `cat "${PIMA_SECRETS:-/run/secrets}/pima_loader_password"`
\set writer `cat "${PIMA_SECRETS:-/run/secrets}/pima_writer_password"`
\set operator `cat "${PIMA_SECRETS:-/run/secrets}/pima_operator_password"`
\set eraser `cat "${PIMA_SECRETS:-/run/secrets}/pima_eraser_password"`
\set reader `cat "${PIMA_SECRETS:-/run/secrets}/pima_reader_password"`
\set monitor `cat "${PIMA_SECRETS:-/run/secrets}/pima_monitor_password"`
CREATE TEMPORARY TABLE made AS SELECT * FROM (VALUES
    ('pima_owner', :'owner'),
    ('pima_scheduler', :'scheduler'),
    ('pima_scorer', :'scorer'),
    ('pima_trainer', :'trainer'),
    ('pima_loader', :'loader'),
    ('pima_writer', :'writer'),
    ('pima_operator', :'operator'),
    ('pima_eraser', :'eraser'),
    ('pima_reader', :'reader'),
    ('pima_monitor', :'monitor')) AS given (role, password);
SELECT role AS "there already: has its old password" FROM pg_temp.made WHERE role IN (SELECT rolname FROM pg_roles);
SELECT format('CREATE ROLE %I LOGIN PASSWORD %L', role, password) FROM pg_temp.made
WHERE role NOT IN (SELECT rolname FROM pg_roles) \gexec
DROP TABLE pg_temp.made;
SELECT 'CREATE DATABASE pima OWNER pima_owner' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'pima') \gexec
-- PostgreSQL 14 lets everybody create in public, where functions of theirs could run with the rights of each role.
\connect pima
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO pima_owner;
