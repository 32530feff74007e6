-- For psql as a superuser, once: the database, its owner, and the jobs' roles with their passwords. What each may do comes
-- from `python -m jobs.migrate --roles`, which the owner runs.
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
CREATE ROLE pima_owner LOGIN PASSWORD :'owner';
CREATE ROLE pima_scheduler LOGIN PASSWORD :'scheduler';
CREATE ROLE pima_scorer LOGIN PASSWORD :'scorer';
CREATE ROLE pima_trainer LOGIN PASSWORD :'trainer';
CREATE ROLE pima_loader LOGIN PASSWORD :'loader';
CREATE ROLE pima_writer LOGIN PASSWORD :'writer';
CREATE ROLE pima_operator LOGIN PASSWORD :'operator';
CREATE ROLE pima_eraser LOGIN PASSWORD :'eraser';
CREATE ROLE pima_reader LOGIN PASSWORD :'reader';
CREATE ROLE pima_monitor LOGIN PASSWORD :'monitor';
CREATE DATABASE pima OWNER pima_owner;
-- PostgreSQL 14 lets everybody create in public, where functions of theirs could run with the rights of each role.
\connect pima
REVOKE CREATE ON SCHEMA public FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO pima_owner;
