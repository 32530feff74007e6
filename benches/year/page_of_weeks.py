"""The sections of docs/measured/year.md on what is shown week by week; no figure in them is typed by
hand."""

from typing import Any

from benches.year.population import AUROC, AUROC_AT_LAST, WEEKS_OF_DECAY

FEWEST_OF_A_CLASS = 5
"""With fewer of the rarer class no figure is shown."""
OF_WEEKS = (
    "clinic",
    "weeks",
    "outcomes at the end (1)",
    "observed/expected",
    "apart at most",
    "AUROC",
    "apart at most",
)


def weeks_of(lived: dict[str, Any]) -> list[tuple[str, ...]]:
    """The clinic's row; none before the first week with figures."""
    weeks = _with_figures(lived)
    if not weeks:
        return []
    last = weeks[-1]
    figures = []
    for name in ("observed_expected", "auroc"):
        figures += [two(last["shown"][name]), f"{apart(lived, name):.3f}"]
    outcomes = f"{last['shown']['outcomes']:,} ({last['shown']['positive']:,})"
    return [(lived["clinic"], str(len(weeks)), outcomes, *figures)]


def _with_figures(lived: dict[str, Any]) -> list[dict[str, Any]]:
    counts = [(week["shown"]["outcomes"], week["shown"]["positive"]) for week in lived["weeks"]]
    return [
        week
        for week, (outcomes, ones) in zip(lived["weeks"], counts, strict=True)
        if min(ones, outcomes - ones) >= FEWEST_OF_A_CLASS
    ]


def apart(lived: dict[str, Any], name: str) -> float:
    """How far a shown figure was from the true one at most."""
    both = ((week["shown"][name], week["true"][name]) for week in _with_figures(lived))
    return max((abs(shown - true) for shown, true in both), default=0.0)


def decay_of(lived: dict[str, Any]) -> str:
    told = next((each["night"] for each in lived["told"] if each["title"] == "slow_decay"), None)
    said = "`slow_decay` is never told."
    if told is not None:
        week = next(week for week in lived["weeks"] if week["night"] >= told)
        said = (
            f"`slow_decay` is told on day {told}, at the end of week {told // 7}. `status` shows an "
            f"AUROC of {two(week['shown']['auroc'])} then: it lags behind, since it is of half a year."
        )
    weeks = WEEKS_OF_DECAY
    return _DECAY.format(
        weeks=weeks, first=AUROC, last=AUROC_AT_LAST, lives=lived["nights"] // 7, told=said
    )


def two(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


SHOWN = """
`status` shows all predictions as they were served, over the last 26 whole weeks. It was looked at on each week's last
morning with at least five outcomes of each kind; the last figures are below. Apart: at most by how much any week's figure
differs from the same predictions once all outcomes are known. `status` counts by tenths of the log odds, so its AUROC
differs in the last digit.
"""

_DECAY = """
In {weeks} weeks the AUROC of the true probabilities falls along a line from {first:g} to {last:g}. The clinic lives for {lives}
weeks, so that the outcomes of these {weeks} are due. {told} Many such clinics: [the gate's page](gate.md#slow-decay).
"""
