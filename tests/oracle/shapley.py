"""Shapley values of real rows by shap, whose exact explainer asks all coalitions against the same
background: what `tests/unit/core/statistics/test_shapley.py` compares with, in tests/data/shap_values.json.
Run with locks/oracle.txt installed:

    python -m tests.oracle.shapley
"""

import json
from importlib.metadata import version
from pathlib import Path

import numpy as np

VALUES = Path(__file__).parents[1] / "data" / "shap_values.json"
_SHIPPED = Path(__file__).parents[2] / "pima" / "data" / "pima.csv"
_WEIGHTS = np.array([0.12, 1.1, -0.2, 0.02, -0.12, 0.7, 0.3, 0.17])
BACKGROUND = slice(0, 40)
EXPLAINED = (100, 569, 700)


def real_rows() -> np.ndarray:
    """The shipped rows, (768, 8), each feature less its mean in units of its standard deviation."""
    rows = np.loadtxt(_SHIPPED, delimiter=",")[:, :8]
    return (rows - rows.mean(axis=0)) / rows.std(axis=0)


def real_outcomes() -> np.ndarray:
    """Whether diabetes followed, (768,), 0 or 1."""
    return np.loadtxt(_SHIPPED, delimiter=",")[:, 8].astype(np.int8)


def model(rows: np.ndarray) -> np.ndarray:
    """Probabilities (n,) of rows (n, 8): a logistic regression with an interaction and a bend."""
    log_odds = rows @ _WEIGHTS - 0.85 + 0.4 * rows[:, 1] * rows[:, 5] - 0.3 * rows[:, 7] ** 2
    return 1 / (1 + np.exp(-log_odds))


def main() -> None:
    """Write what shap says."""
    import shap

    rows = real_rows()
    background = shap.maskers.Independent(rows[BACKGROUND], max_samples=BACKGROUND.stop)
    found = shap.ExactExplainer(model, background)(rows[list(EXPLAINED)]).values
    VALUES.write_text(
        json.dumps({"shap": version("shap"), "values": found.tolist()}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
