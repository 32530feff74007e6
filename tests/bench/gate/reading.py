"""The sentences under the tables, with the figures of this very run."""

from pima.core.arrays import Float64Array
from tests.bench.gate.policies import LUCKY, LUCKY_SHIFT, MEMORISING, REVERSAL, SHIFT, SPOILED, STEADY, WEEKS
from tests.bench.gate.summary import Summary, standard_error

Found = dict[str, dict[str, Summary]]
"""by the scenario's name and the policy's letter"""


def reading(found: Found) -> list[str]:
    return [
        _stored(found),
        _fresh(found),
        _window(found),
        _seeds(found),
        _option(found, "log_loss_veto", "f"),
        _option(found, "minimum_gain = 0.01", "g"),
        _optimism(found),
        _gate(found),
        _challengers(found),
    ]


def _stored(found: Found) -> str:
    a, c = found[LUCKY]["a"], found[LUCKY]["c"]
    return (
        "Stored scores (a). A lucky score stays and only a luckier one gets past it: what is reported of the champion "
        f"is {_mean(a.optimism)} points above the truth ({_mean(c.optimism)} on the hash holdout, c); after the shift "
        f"{_recovered(found[LUCKY_SHIFT]['a'])} (c: {_recovered(found[LUCKY_SHIFT]['c'])})."
    )


def _fresh(found: Found) -> str:
    memorising, steady = found[MEMORISING], found[STEADY]
    b, c = memorising["b"], memorising["c"]
    return (
        "Fresh random splits (b) ask the champion about its own training rows. With the learner that memorises, what "
        f"is reported is {_mean(b.optimism)} points above the truth (c: {_mean(c.optimism)}), and in {WEEKS} weeks "
        f"{_mean(b.promotions)} challengers get past it (c: {_mean(c.promotions)}). With the steady one, which hardly "
        f"memorises, b less c is {_difference(steady, 'b', 'c')} points of true accuracy, and harmful promotions are "
        f"{_mean(steady['b'].harmful)} (c: {_mean(steady['c'].harmful)})."
    )


def _window(found: Found) -> str:
    parts = [
        f"after the {name} {_recovered(found[scenario]['e'])}, and the last champion is "
        f"{_mean(found[scenario]['e'].behind)} points behind (with all: {_recovered(found[scenario]['e, all'])}, "
        f"{_mean(found[scenario]['e, all'].behind)} points)"
        for name, scenario in (("shift", SHIFT), ("reversal", REVERSAL))
    ]
    return (
        f"The recent window against all of the holdout (e): {'; '.join(parts)}. Without drift the true accuracies "
        f"differ by {_difference(found[STEADY], 'e', 'e, all')} points."
    )


def _seeds(found: Found) -> str:
    lucky, steady = found[LUCKY], found[STEADY]
    return (
        f"Five seeds against one (e less d): {_difference(lucky, 'e', 'd')} points of true accuracy with the lucky "
        f"learner, {_difference(steady, 'e', 'd')} with the steady one; harmful promotions {_mean(lucky['d'].harmful)} "
        f"to {_mean(lucky['e'].harmful)} and {_mean(steady['d'].harmful)} to {_mean(steady['e'].harmful)}. The less a "
        "recipe owes to its seed, the less there is for five of them to mend."
    )


def _option(found: Found, option: str, letter: str) -> str:
    steady, shift = found[STEADY], found[SHIFT]
    return (
        f"`{option}` ({letter} less e), with the steady learner: promotions {_mean(steady['e'].promotions)} to "
        f"{_mean(steady[letter].promotions)}, harmful {_mean(steady['e'].harmful)} to {_mean(steady[letter].harmful)}, "
        f"true accuracy {_difference(steady, letter, 'e')} points; after the shift {_difference(shift, letter, 'e')}, "
        f"and {_recovered(shift[letter])} (e: {_recovered(shift['e'])})."
    )


def _optimism(found: Found) -> str:
    e, i, shift = found[STEADY]["e"], found[STEADY]["i"], found[SHIFT]
    return (
        f"Whoever was chosen by a figure is flattered by it: on the same holdout week after week, {_mean(e.optimism)} "
        f"points without drift (e), while the champion that was never chosen has {i.optimism.mean():+.1f} (i). With "
        f"the shift, whose test set is for a while mostly from before it, {_mean(shift['e'].optimism)} points, on all "
        f"of the holdout {_mean(shift['e, all'].optimism)}. Realised accuracy (`jobs.status`) took no part in the "
        "choice."
    )


def _gate(found: Found) -> str:
    return (
        f"Is a gate worth it? Promoting every challenger (h less e) gives {_difference(found[STEADY], 'h', 'e')} "
        f"points where all challengers are sound, {_difference(found[SHIFT], 'h', 'e')} with the shift, and "
        f"{_difference(found[SPOILED], 'h', 'e')} where one in twenty is spoiled. So the gate is an insurance: a small "
        "premium in quiet times."
    )


def _challengers(found: Found) -> str:
    return (
        f"Even h ends {_mean(found[SHIFT]['h'].behind)} points behind a fit on the rows since the shift, and "
        f"{_mean(found[REVERSAL]['h'].behind)} after the reversal: retraining learns from all history alike, and no "
        "gate can promote what its challengers do not have."
    )


def _mean(values: Float64Array) -> str:
    return f"{values.mean():.1f}"


def _difference(found: dict[str, Summary], one: str, other: str) -> str:
    """Paired over the runs, with its standard error."""
    values = found[one].true_accuracy - found[other].true_accuracy
    return f"{values.mean():+.2f} ± {standard_error(values):.2f}"


def _recovered(found: Summary) -> str:
    weeks = f" in {found.median_weeks:.0f} weeks" if found.recovered_share else ""
    return f"{100 * found.recovered_share:.0f} % of the runs recover{weeks}"
