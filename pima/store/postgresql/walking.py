"""Looking through all patients for what is rare there, with several of the server's processes.

PostgreSQL lets one process alone read for a statement that writes, and divides no merge of two indexes well. Ranges of
ids it hands out, each whole to one process.
"""

from itertools import pairwise

from sqlalchemy import Connection, text

_RANGES = 8
_FEW = 5_000
# Handing ranges out costs nothing, and none of them is divided again. How many processes there may be, the server says.
_HAND_OUT = """
    SET LOCAL parallel_setup_cost = 0; SET LOCAL parallel_tuple_cost = 0;
    SET LOCAL min_parallel_table_scan_size = '1TB'; SET LOCAL min_parallel_index_scan_size = '1TB'"""


def few_ids(connection: Connection, condition: str) -> list[int] | None:
    """The ids of the patients `p` that meet a condition; None where they are many.

    In it {within} becomes a further condition of the predictions `d`, which ids those can have.
    """
    connection.exec_driver_sql(_HAND_OUT)
    found = " UNION ALL ".join(_in_range(condition, *ids) for ids in pairwise(_cuts(connection)))
    some = connection.scalars(text(f"SELECT id FROM ({found}) AS found LIMIT {_FEW + 1}")).all()
    return None if len(some) > _FEW else list(some)


def _cuts(connection: Connection) -> list[int]:
    """Where each range of ids begins, and where the last one ends."""
    lowest, end = connection.execute(text("SELECT coalesce(min(id), 0), coalesce(max(id), 0) + 1 FROM patients")).one()
    return [lowest + (end - lowest) * n // _RANGES for n in range(_RANGES + 1)]


def _in_range(condition: str, first: int, end: int) -> str:
    within = f"AND {{0}} >= {first} AND {{0}} < {end}"
    of_predictions = condition.format(within=within.format("d.patient_id"))
    return f"SELECT p.id FROM patients p WHERE {of_predictions} {within.format('p.id')}"
