"""PostgreSQL's words for what stands in statements that are otherwise the same."""

from pima.core.identifiers import LARGEST_ID
from pima.store.database import Words
from pima.store.postgresql.counter import LAST_VERSION

WORDS = Words(
    now="clock_timestamp()",
    in_seconds="clock_timestamp() + make_interval(secs => :seconds)",
    labelled_at_milliseconds="CAST(floor(EXTRACT(EPOCH FROM labelled_at) * 1000) AS BIGINT)",
    moment_of_milliseconds="to_timestamp({} / 1000.0)",
    parameter="%s",
    is_one_of="= ANY (%s)",
    temporary_schema="pg_temp",
    constraints_at_once="SET CONSTRAINTS ALL IMMEDIATE",
    # In a schema that this role may not use nothing is found by name, as if it were not there; the cast tells (42501).
    name_of_revisions_table="""
        SELECT coalesce(to_regclass('alembic_version'), (
            SELECT CAST(quote_ident(n.nspname) || '.alembic_version' AS regclass)
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relname = 'scoring_queue' AND NOT has_schema_privilege(n.oid, 'USAGE') LIMIT 1))""",
    next_id="nextval((SELECT CAST(pg_get_serial_sequence('patients', 'id') AS regclass)))",
    id_in_range=f"id > 0 AND id <= {LARGEST_ID}",
    source_is_name="{0}source ~ '^[a-z][a-z0-9_]*$' AND length({0}source) <= 30",
    source_key_in_range=(
        "({0}source IS NULL) = ({0}source_key IS NULL) AND octet_length({0}source_key) BETWEEN 1 AND 200"
    ),
    person_key_in_range="octet_length({0}person_key) BETWEEN 1 AND 200",
    differs="IS DISTINCT FROM",
    last_version=LAST_VERSION,
    # Who switches one off and on again has written its row of the catalogue anew.
    triggers_state="""
        SELECT coalesce(md5(string_agg(concat_ws(' ', t.oid, t.xmin, f.oid, f.xmin), ',' ORDER BY t.oid)), '')
        FROM pg_trigger t JOIN pg_proc f ON f.oid = t.tgfoid
        WHERE t.tgrelid = to_regclass('patients') AND NOT t.tgisinternal""",
    # By the locks and not by the snapshot, which has those of all databases of the server, and no savepoints.
    first_writer="""
        SELECT CAST(CAST(number AS text) AS bigint) FROM (
            SELECT own.transactionid AS number
            FROM pg_locks own JOIN pg_locks held USING (virtualtransaction)
            WHERE own.locktype = 'transactionid' AND own.mode = 'ExclusiveLock'
                AND held.relation = to_regclass('patients') AND held.mode = 'RowExclusiveLock' AND held.granted
                AND held.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            UNION ALL SELECT CAST(pg_snapshot_xmax(pg_current_snapshot()) AS xid)
        ) AS writers
        ORDER BY age(number) DESC LIMIT 1""",
    came_before_writer="age(k.xmin) > age(CAST(CAST(:writer AS text) AS xid))",
    # Any column would do; this is the one that pima_operator may update. Not to what it is: PostgreSQL's own
    # suppress_redundant_updates_trigger would drop that.
    touched="updated_at = clock_timestamp()",
    sources_of_run="jsonb_array_elements(runs.counts -> 'sources') AS item(value)",
    keeps_deleted=(
        "the server's files and statistics until VACUUM and ANALYZE have been over the tables, its WAL, archives of it,"
        " and standbys"
    ),
    share_if_unlocked="FOR SHARE OF p SKIP LOCKED",
)
