"""What people should know of a threshold: that nobody reaches it, that it is not in use yet, or
that accuracy is no measure for it."""

from collections.abc import Iterator

from pima.core.verdicts.verdict import Measure

HARDLY_ANYBODY = 0.1
"""Where fewer of those with outcome 1 are found, hardly anybody is predicted 1."""


def out_of_reach(number: int, threshold: float, sensitivity: float | None) -> Iterator[str]:
    """Say that hardly anybody reaches a version's threshold, by its sensitivity on the rows of its
    verdict."""
    if sensitivity is None or sensitivity >= HARDLY_ANYBODY:
        return
    who = "hardly anybody" if sensitivity else "nobody"
    yield (
        f"{who} is predicted 1: at its threshold of {threshold:.3g} version {number} finds "
        f"{100 * sensitivity:.0f} % of those with outcome 1. Set retrain.threshold to the risk "
        'from which you would act, or to a text such as "sensitivity >= 0.8", then python -m '
        "jobs.retrain"
    )


def not_in_use(
    number: int, fitted_with: float | str, now: float | str, newest: int | None
) -> Iterator[str]:
    """Say that version `number` was fitted with another `retrain.threshold` than is set now;
    `newest` is a version with the one that is set."""
    if fitted_with == now:
        return
    how = "python -m jobs.retrain fits one"
    if newest is not None:
        how = f"python -m jobs.models promote {newest} --reason TEXT takes one at once"
    yield (
        f"retrain.threshold is {now}, but version {number} was fitted with {fitted_with}: it comes "
        f"into use with the next such version that wins; {how}"
    )


def misjudged(now: float | str, measure: Measure) -> Iterator[str]:
    """Say that the gate judges by accuracy, though people act from another probability than a
    half."""
    if measure is not Measure.ACCURACY or now == 0.5:
        return
    yield (
        f"gate.measure is accuracy and retrain.threshold {now}: accuracy counts a missed case and "
        "a false alarm alike, so below 0.5 a challenger may win by predicting 1 less often, above "
        "it more often, though it tells patients apart less well. Set gate.measure to net_benefit, "
        "which weighs both by the threshold, or to log_loss"
    )
