"""What a model version learned from, as the tests have it."""

import pandas as pd


def as_learned(rows: pd.DataFrame) -> pd.DataFrame:
    """A version whose rows are kept, and that nobody called otherwise than by their persons since."""
    return rows.assign(Rank=rows["Person"])
