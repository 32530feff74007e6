-- The queries of schema.py on PostgreSQL's catalogue. They use pg_catalog, since information_schema shows only what the
-- role has rights on.
-- They run with the owner's rights, too, where others may create in the schema. PostgreSQL prefers a function or operator
-- of theirs that takes exactly the types that it is given, even behind pg_catalog. So each value has a type that
-- pg_catalog's own takes: names are cast to text.

-- name: schema_of_patients
-- The schema of the tables, in quotes if it needs them. It may not be the current schema, if someone has made one that
-- comes first.
SELECT quote_ident(n.nspname::text) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.oid = to_regclass('patients')::oid;

-- name: takes_creating_back
-- For each who may create in the schema of the tables, beside its owner and theirs, the statement against it.
SELECT 'REVOKE CREATE ON SCHEMA ' || quote_ident(n.nspname::text) || ' FROM '
    || CASE WHEN a.grantee = '0' THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)::text) END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(n.nspacl) a
WHERE c.oid = to_regclass('patients')::oid AND a.privilege_type = 'CREATE'
    AND a.grantee NOT IN (n.nspowner, c.relowner)
ORDER BY 1;

-- name: not_pimas
-- The functions, operators and casts in the schema of the tables that are neither pima's nor an extension's.
WITH place AS (SELECT relnamespace AS id FROM pg_class WHERE oid = to_regclass('patients')::oid),
found (class, id, owner) AS (
    SELECT 'pg_proc'::regclass::oid, p.oid, p.proowner FROM pg_proc p JOIN place ON place.id = p.pronamespace
    WHERE NOT (p.proname = ANY(CAST(:ours AS text[])) AND p.pronargs = 0)
    UNION ALL SELECT 'pg_operator'::regclass::oid, o.oid, o.oprowner FROM pg_operator o JOIN place ON place.id = o.oprnamespace
    UNION ALL SELECT 'pg_cast'::regclass::oid, c.oid, t.typowner
    FROM pg_cast c JOIN pg_type t ON t.oid IN (c.castsource, c.casttarget) JOIN place ON place.id = t.typnamespace)
SELECT pg_describe_object(class, id, 0) || ' of ' || pg_get_userbyid(owner)::text FROM found
WHERE NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = class AND d.objid = id AND d.deptype = 'e')
ORDER BY 1;

-- name: columns
-- Each column, with its type, of the tables that unqualified names refer to.
SELECT c.relname::text || '.' || a.attname::text,
    format_type(a.atttypid, a.atttypmod)
        || coalesce(' collate "' || lower(o.collname::text) || '"', '')
        || CASE WHEN a.attgenerated <> '' THEN ', computed' ELSE '' END
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_collation o ON o.oid = a.attcollation AND o.oid <> t.typcollation
WHERE c.relkind IN ('r', 'p') AND c.relname = ANY(:tables) AND pg_table_is_visible(c.oid)
    AND a.attnum > 0 AND NOT a.attisdropped;

-- name: fault_of_tables
-- What keeps the first of these tables that is no plain one from being one; among triggers the BEFORE row triggers, by
-- tgtype. A key is lost by CREATE TABLE AS, or by a restore that failed at its end.
SELECT what FROM (
    SELECT c.relname, CASE
        WHEN c.relrowsecurity THEN c.relname::text || ' has row security, which may hide rows'
        WHEN c.relhasrules THEN c.relname::text || ' has a rule, which rewrites statements behind the triggers'' back'
        WHEN EXISTS (SELECT 1 FROM pg_inherits i WHERE c.oid IN (i.inhrelid, i.inhparent))
        THEN c.relname::text || ' has child tables or is one, whose writes fire other triggers'
        WHEN NOT EXISTS (SELECT 1 FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)
        THEN c.relname::text || ' lacks its primary key, without which rows could be written twice'
        WHEN c.relpersistence = 'u' THEN c.relname::text || ' is unlogged, and empty after a crash of the server'
        WHEN EXISTS (SELECT 1 FROM pg_subscription_rel s WHERE s.srrelid = c.oid)
        THEN 'a subscription writes to ' || c.relname::text || ', which fires no triggers of statements'
        WHEN c.relname <> 'patients' THEN (
            SELECT 'the BEFORE trigger ' || min(t.tgname::text) || ' on ' || c.relname::text
                || ' could change or drop what is written there'
            FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgtype::integer & 3 = 3 AND t.tgenabled <> 'D')
        END AS what
    FROM pg_class c
    WHERE c.relkind IN ('r', 'p') AND c.relname = ANY(:tables) AND pg_table_is_visible(c.oid)) AS found
WHERE what IS NOT NULL ORDER BY relname LIMIT 1;

-- name: state_of_index
-- Whoever makes an index beside writers holds this lock on its table.
SELECT CASE WHEN i.indisvalid THEN 'is made' WHEN EXISTS (
        SELECT FROM pg_locks l WHERE l.relation = i.indrelid AND l.mode = 'ShareUpdateExclusiveLock'
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()))
    THEN 'is being made' ELSE 'is left over' END
FROM pg_index i WHERE i.indexrelid = to_regclass(:name)::oid;

-- name: triggers
-- The triggers on patients; changes_rows is true for BEFORE row triggers on INSERT or UPDATE, by tgtype.
SELECT t.tgname, t.tgenabled, pg_get_triggerdef(t.oid) AS definition,
    f.pronamespace = c.relnamespace AS is_beside, f.prosrc, f.prosecdef, f.proconfig,
    t.tgtype::integer & 3 = 3 AND t.tgtype::integer & 20 > 0 AND t.tgenabled <> 'D' AS changes_rows
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc f ON f.oid = t.tgfoid
WHERE t.tgrelid = to_regclass('patients')::oid AND NOT t.tgisinternal
ORDER BY t.tgname;
