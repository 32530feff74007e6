"""Net benefit of real rows by dcurves: what `tests/unit/core/statistics/test_performance.py` compares with, in
tests/data/dcurves_values.json. Run with locks/oracle.txt installed:

    python -m tests.oracle.decision_curve
"""

import json
from importlib.metadata import version
from pathlib import Path

from tests.oracle.shapley import model, real_outcomes, real_rows

VALUES = Path(__file__).parents[1] / "data" / "dcurves_values.json"
THRESHOLDS = tuple(each / 100 for each in range(5, 100, 5))


def main() -> None:
    """Write what dcurves says."""
    import pandas as pd
    from dcurves import dca

    rows = pd.DataFrame({"outcome": real_outcomes(), "model": model(real_rows())})
    found = dca(data=rows, outcome="outcome", modelnames=["model"], thresholds=list(THRESHOLDS))
    curves = {
        name: found.loc[found["model"] == name, "net_benefit"].tolist() for name in ("model", "all")
    }
    VALUES.write_text(json.dumps({"dcurves": version("dcurves"), **curves}, indent=1) + "\n")


if __name__ == "__main__":
    main()
