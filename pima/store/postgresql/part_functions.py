"""What makes and drops parts of `predictions` with the owner's rights: the nightly job has none to make a table, nor to
drop one."""

from sqlalchemy import Connection, text

AHEAD = "make_predictions_ahead"
DROP = "drop_old_predictions"
_PARTS_AHEAD = 2


def make_functions(connection: Connection, schema: str, owner: str, versions: int) -> None:
    """Or make them anew, for parts of so many versions."""
    bodies = {f"{AHEAD}()": ("integer", _ahead(schema, versions)), f"{DROP}(part text)": ("boolean", _drop(schema))}
    for signature, (returned, body) in bodies.items():
        quoted = body.replace("'", "''").replace("%", "%%")
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {schema}.{signature} RETURNS {returned} LANGUAGE plpgsql SECURITY DEFINER"
            f" SET search_path = {schema}, pg_temp AS '{quoted}'"
        )
        named = signature.replace("part text", "text")
        connection.exec_driver_sql(f"ALTER FUNCTION {schema}.{named} OWNER TO {owner}")
        connection.exec_driver_sql(f"REVOKE ALL ON FUNCTION {schema}.{named} FROM PUBLIC")
    let_roles_use_them(connection)


_USED_BY = {f"{AHEAD}()": ("pima_scorer",), f"{DROP}(text)": ("pima_eraser",)}


def let_roles_use_them(connection: Connection) -> None:
    """The roles that there are, where there are functions."""
    for function, roles in _USED_BY.items():
        there = text("SELECT rolname FROM pg_roles WHERE rolname = ANY(:roles) AND to_regprocedure(:name) IS NOT NULL")
        for role in connection.execute(there, {"roles": list(roles), "name": function}).scalars().all():
            connection.exec_driver_sql(f"GRANT EXECUTE ON FUNCTION {function} TO {role}")


# No backslash: it would mean something else where standard_conforming_strings is off.
_HIGHEST = """SELECT max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO [(]''?(-?[0-9]+)'))[1]::bigint)
            INTO since FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
            WHERE i.inhparent = '{schema}.predictions'::regclass"""


def _ahead(schema: str, versions: int) -> str:
    """Beside the table first, then made a part of it: that way nobody who writes predictions is waited for. What the
    counter has leapt over becomes one part."""
    return f"""
    DECLARE
        drawn BIGINT := coalesce(pg_sequence_last_value('{schema}.patient_version'), 0);
        since BIGINT;
        below BIGINT;
        made INTEGER := 0;
    BEGIN
        LOOP
            {_HIGHEST.format(schema=schema)};
            EXIT WHEN since >= (drawn / {versions} + 1 + {_PARTS_AHEAD}) * {versions};
            -- Of two at once the second sees what the first has made.
            LOCK TABLE {schema}.predictions IN SHARE UPDATE EXCLUSIVE MODE;
            {_HIGHEST.format(schema=schema)};
            CONTINUE WHEN since >= (drawn / {versions} + 1 + {_PARTS_AHEAD}) * {versions};
            below := greatest(since, (drawn / {versions}) * {versions}) + {versions};
            EXECUTE format('CREATE TABLE {schema}.predictions_below_%s (LIKE {schema}.predictions INCLUDING ALL)',
                below);
            EXECUTE format('ALTER TABLE {schema}.predictions ATTACH PARTITION {schema}.predictions_below_%s'
                ' FOR VALUES FROM (%s) TO (%s)', below, since, below);
            made := made + 1;
        END LOOP;
        RETURN made;
    END"""


def _drop(schema: str) -> str:
    """A part and nothing else; whether it could be had at once."""
    return f"""
    BEGIN
        IF NOT EXISTS (SELECT 1 FROM pg_inherits
                       WHERE inhparent = '{schema}.predictions'::regclass AND inhrelid = to_regclass(part)) THEN
            RAISE EXCEPTION 'no part of predictions';
        END IF;
        SET LOCAL lock_timeout = '1s';
        EXECUTE format('DROP TABLE %s', to_regclass(part));
        RETURN true;
    EXCEPTION WHEN lock_not_available THEN
        RETURN false;
    END"""
