"""Views and the table below them, held for a moment, so that both can be changed and nobody who reads is ended.

Whoever reads takes the views first. Who had the table first would wait for the views, and a reader for the table, in a
circle, of which the server ends one after a second: that may be the reader.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, text

_PATIENCE_WITH_READERS = 400
_PATIENCE_WITH_WRITERS = 400
"""Milliseconds, while views or the table are held: both together well below that second."""


def views_made_anew(
    connection: Connection, oids: str, parameters: Mapping[str, Any] = MappingProxyType({})
) -> list[str]:
    """What makes each of these views what it is, whoever's they are: by name, and so of whatever has the names then.
    One that reads another one comes before it."""
    rows = connection.execute(
        text(f"""
            SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name, pg_get_viewdef(c.oid) AS body,
                CASE WHEN c.reloptions IS NULL THEN '' ELSE 'WITH (' || array_to_string(c.reloptions, ', ') || ')' END
                    AS options
            FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
            WHERE c.relkind = 'v' AND c.oid IN ({oids}) ORDER BY c.oid DESC"""),
        parameters,
    )
    return [f"CREATE OR REPLACE VIEW {row.name} {row.options} AS {row.body}" for row in rows]


def hold_briefly(connection: Connection, views: Sequence[str], table: str) -> None:
    """To the end of the transaction or savepoint; it fails soon where somebody uses them. To make a view what it is, by
    `views_made_anew`, changes nothing."""
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_PATIENCE_WITH_READERS // max(1, len(views))}")
    for view in views:
        connection.exec_driver_sql(view.replace("%", "%%"))
    connection.exec_driver_sql(f"SET LOCAL lock_timeout = {_PATIENCE_WITH_WRITERS}")
    connection.exec_driver_sql(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
