"""What a draft may show of patients: nothing that stands for fewer than 20 rows."""

from pima.core.wording import counted

SHOWN_FROM = 20
"""Rows: of what fewer have in common nothing is shown, and a bound is taken from as many at its end."""
FEWER = f"fewer than {SHOWN_FROM} rows"


def rows_shown(count: int) -> str:
    """So many rows, in words."""
    return counted(count, "row") if count >= SHOWN_FROM else FEWER
