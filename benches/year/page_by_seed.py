"""The sections of docs/measured/year.md on clinics that live by several seeds; no figure in them is
typed by hand."""

import re
from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from benches.gate.page import filled, table

SEEDS = "## Hindsight by other seeds"
AFTER_SEEDS = "## Many clinics, simulated"
_OF_SEEDS = (
    "clinics",
    "seeds",
    "rows of a verdict (1)",
    "AUROC of the verdicts",
    "true",
    "apart ± standard error",
    "standard deviation of a seed",
    "by today's values",
)


def section_by_seed(lived: Sequence[dict[str, Any]]) -> str:
    """Each clinic's last verdict, over its seeds."""
    names = dict.fromkeys(each["clinic"] for each in lived)
    rows = [_of_seeds([each for each in lived if each["clinic"] == name]) for name in names]
    text = filled(_BY_SEED.format(nights=lived[0]["nights"]))
    return f"{SEEDS}\n\n{text}\n\n{table(_OF_SEEDS, rows)}"


def around_section_by_seed(text: str) -> tuple[str, str]:
    """A page's text before the section and behind it."""
    before, behind, after = text.partition(AFTER_SEEDS)
    return before.partition(SEEDS)[0], f"\n\n{behind}{after}"


_NEVER_PREDICTED = re.compile(
    r"(\d+) of its \d+ rows were never predicted.* challenger's AUROC is ([.\d]+)"
)


def section_of_corrected_history(lived: Sequence[dict[str, Any]]) -> str:
    """What the last verdict of such clinics says, and the next one, which does not learn from the
    history."""
    before = [each["moves"][-2] for each in lived]
    after = [each["moves"][-1] for each in lived]
    told = [_NEVER_PREDICTED.search(move["explanation"]) for move in before]
    assert all(told), before
    said = filled(
        _CORRECTED_HISTORY.format(
            seeds=len(lived),
            weeks=lived[0]["nights"] // 7,
            auroc=_mean_of(before, "auroc"),
            true=_mean_of(before, "true_auroc"),
            rows=mean(move["rows"] for move in before),
            never=mean(int(each[1]) for each in told if each),
            others=mean(float(each[2]) for each in told if each),
            rows_after=mean(move["rows"] for move in after),
            auroc_after=_mean_of(after, "auroc"),
            true_after=_mean_of(after, "true_auroc"),
        )
    )
    return f"## A history that was loaded corrected\n\n{said}"


def _mean_of(moves: Sequence[dict[str, Any]], figure: str) -> float:
    return mean(move[figure] for move in moves)


def _of_seeds(lived: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    last = [each["moves"][-1] for each in lived]
    apart = [move["auroc"] - move["true_auroc"] for move in last]
    deviation = stdev(apart)
    return (
        lived[0]["clinic"],
        str(len(lived)),
        f"{mean(move['rows'] for move in last):,.0f} ({mean(move['positive'] for move in last):,.0f})",
        f"{mean(move['auroc'] for move in last):.3f}",
        f"{mean(move['true_auroc'] for move in last):.3f}",
        f"{mean(apart):+.3f} ± {deviation / len(apart) ** 0.5:.3f}",
        f"{deviation:.3f}",
        f"{mean(move['auroc_as_corrected'] for move in last):.3f}",
    )


_BY_SEED = """
Each such clinic lives again, by other seeds, with uncorrected histories of its own: `pull` and `score` every second of {nights}
nights, `retrain` on the first and the last. The figures are of the last verdict. By today's values: the same models on the same
rows as they are corrected now.
"""

_CORRECTED_HISTORY = """
The clinic "hindsight, 35 %", with a history that was corrected before it was loaded: {seeds} seeds, {weeks} weeks, means. The
last verdict says an AUROC of {auroc:.3f} for a truth of {true:.3f}. It also says that {never:.0f} of its {rows:,.0f} rows were
never predicted, and an AUROC of {others:.3f} on the others. With `learn_from = "predicted"` the next verdict says
{auroc_after:.3f} on {rows_after:,.0f} rows, for a truth of {true_after:.3f}.
"""
