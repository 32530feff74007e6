"""Reports as retrainings leave them behind: pages of HTML, the newest few of them."""

from sqlalchemy import Connection, delete, insert, select

from pima.store.tables import reports


def keep_report(connection: Connection, html: str, kept: int) -> None:
    """Add one, and let go of all but the newest so many."""
    connection.execute(insert(reports).values(html=html))
    newest = select(reports.c.id).order_by(reports.c.id.desc()).limit(kept).scalar_subquery()
    connection.execute(delete(reports).where(reports.c.id.not_in(newest)))


def newest_report(connection: Connection) -> str | None:
    """None where none was ever kept."""
    html: str | None = connection.scalar(select(reports.c.html).order_by(reports.c.id.desc()).limit(1))
    return html
