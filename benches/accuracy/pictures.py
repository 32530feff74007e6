"""The two pictures, as SVG that is the same for the same figures."""

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from benches.accuracy.folds import Outcome
from benches.accuracy.judgement import Figures, reliability
from pima.core.arrays import Int8Array

STYLE = {
    "svg.fonttype": "none",
    "svg.hashsalt": "pima",
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
COLOURS = ("#0b6e4f", "#c1440e", "#3a5a98", "#8a8a8a")


def draw_calibration(pooled: dict[str, Outcome], outcomes: Int8Array, path: Path) -> None:
    """Share of positives against mean probability, in bins of equal count over all shuffles."""
    with mpl.rc_context(STYLE):
        figure, axes = plt.subplots(figsize=(5.5, 5), layout="constrained")
        axes.plot([0, 1], [0, 1], color="#cccccc", linewidth=1, label="perfectly calibrated")
        for (name, outcome), colour in zip(pooled.items(), COLOURS, strict=True):
            repeated = outcomes[None, :].repeat(len(outcome.probabilities), axis=0)
            bins = reliability(outcome.probabilities.ravel(), repeated.ravel())
            shares = [one.share_positive for one in bins]
            axes.plot(
                [one.mean_probability for one in bins],
                shares,
                "o-",
                color=colour,
                label=name,
                markersize=4,
            )
        axes.set(
            xlim=(0, 1), ylim=(0, 1), xlabel="predicted probability", ylabel="share with diabetes"
        )
        axes.legend(loc="upper left")
        save(figure, path)


def draw_learning_curve(curve: dict[str, dict[int, Figures]], path: Path) -> None:
    """Error and log loss against the number of training rows."""
    with mpl.rc_context(STYLE):
        figure, (errors, losses) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
        for (name, by_size), colour in zip(curve.items(), COLOURS, strict=True):
            sizes = sorted(by_size)
            errors.plot(
                sizes,
                [by_size[n].error for n in sizes],
                "o-",
                color=colour,
                label=name,
                markersize=4,
            )
            losses.plot(
                sizes,
                [by_size[n].log_loss for n in sizes],
                "o-",
                color=colour,
                label=name,
                markersize=4,
            )
        for axes, what in ((errors, "error"), (losses, "log loss")):
            axes.set_xscale("log")
            axes.set_xticks(sizes, [str(n) for n in sizes])
            axes.minorticks_off()
            axes.set(xlabel="training rows", ylabel=what)
        errors.legend()
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    """The same bytes for the same figure."""
    figure.savefig(path, metadata={"Date": None, "Creator": None})
    plt.close(figure)
