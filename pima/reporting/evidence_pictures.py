"""Pictures of the evidence beside a verdict: whom the models tell apart, whether their probabilities hold, whether
acting on them does good, how they are spread, in all and by subgroup."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate, groupby
from typing import Any
from unicodedata import east_asian_width

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from pima.core.evidence import told_thresholds
from pima.reporting.drawing import FIRST, HEIGHT_INCHES, INK, MUTED, PAPER, SECOND, as_svg, drawn, percents
from pima.reporting.exhibits import Exhibit, calibration, distribution, roc

_LINES = ((FIRST, "-"), (SECOND, "--"))
MOST_LINES_DRAWN = 60


def roc_picture(found: Exhibit, name: str) -> Markup:
    """Sensitivity over 1 - specificity, of both models."""
    with drawn(name) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
        for model, (colour, line) in zip(found.models, _LINES, strict=False):
            points = roc(found.document, model.role)
            axes.plot([x for _, x, _ in points], [y for _, _, y in points], color=colour, linestyle=line)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel="1 - specificity", ylabel="sensitivity")
        percents(axes, "x")
        percents(axes, "y")
        told = "ROC curves: the share of patients with the outcome that is found, against the share of false alarms"
        return as_svg(figure, "ROC curve", f"{told}, at each threshold. The diagonal is guessing.")


def calibration_picture(found: Exhibit, name: str) -> Markup:
    """What was observed over what was predicted, in groups of like probability."""
    with drawn(name) as (figure, axes):
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=":")
        for model, (colour, line) in zip(found.models, _LINES, strict=False):
            groups = calibration(found.document, model.role)
            xs, ys = [each.predicted for each in groups], [each.observed.value or 0.0 for each in groups]
            if model is found.first:
                lows = [each.observed.low or 0.0 for each in groups]
                highs = [1.0 if each.observed.high is None else each.observed.high for each in groups]
                axes.vlines(xs, lows, highs, color=colour, linewidth=1, alpha=0.6)
            axes.plot(xs, ys, color=colour, linestyle=line, marker="o", markersize=4, markeredgecolor=PAPER)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.02), xlabel="predicted", ylabel="observed")
        percents(axes, "x")
        percents(axes, "y")
        told = "Calibration: the share of patients with the outcome among those of like predicted probability"
        return as_svg(figure, "Calibration", f"{told}. On the diagonal the probabilities hold.")


def decision_picture(found: Exhibit, name: str) -> Markup:
    """Net benefit over the thresholds, beside treating all and none."""
    document = found.document
    thresholds = document["thresholds"]
    with drawn(name) as (figure, axes):
        axes.axhline(0, color=MUTED, linewidth=1)
        everybody = document["treat_all"]["net_benefit"]
        axes.plot(thresholds, _of_100(everybody), color=MUTED, linewidth=1.2, linestyle=":")
        for model, (colour, line) in zip(found.models, _LINES, strict=False):
            steps, curve = told_thresholds(document, model.role), found.of(model)["net_benefit"]["net_benefit"]
            points = [(at, value) for at, value in zip(thresholds, curve, strict=True) if at in steps]
            axes.plot([at for at, _ in points], _of_100([value for _, value in points]), color=colour, linestyle=line)
        highest = 100 * document["positive"] / document["rows"]
        axes.set(xlim=(0, 1), ylim=(-0.15 * highest - 0.5, 1.1 * highest + 0.5), xlabel="threshold")
        axes.set_ylabel("net benefit, cases per 100")
        percents(axes, "x")
        told = "Decision curves: cases found per hundred patients, less the false alarms, weighted by the threshold"
        return as_svg(figure, "Net benefit", f"{told}, beside treating all and treating none.")


def _of_100(values: list[float]) -> list[float]:
    return [100 * value for value in values]


def distribution_picture(found: Exhibit, name: str) -> Markup:
    """The probabilities of the first model, of patients with the outcome above and of the others below."""
    tenths = distribution(found.document, found.first.role)
    middles = [(each.low + each.high) / 2 for each in tenths]
    with drawn(name) as (figure, axes):
        widths = [each.high - each.low - 0.015 for each in tenths]
        axes.bar(middles, [each.cases for each in tenths], width=widths, color=FIRST)
        axes.bar(middles, [-each.others for each in tenths], width=widths, color=SECOND)
        axes.axhline(0, color=INK, linewidth=0.8)
        axes.axvline(found.of(found.first)["threshold"], color=MUTED, linewidth=1, linestyle="--")
        axes.set(xlim=(0, 1), xlabel="predicted probability", ylabel="patients")
        axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):g}")
        percents(axes, "x")
        told = "How many patients with the outcome (above the line) and without it (below) got which probability"
        return as_svg(figure, "Distribution of the probabilities", f"{told}. The dashed line is the threshold.")


def has_areas(found: Exhibit) -> bool:
    """Whether there is anything to draw by subgroup: of outcomes of one class there is not."""
    return next(_lines_of_subgroups(found), None) is not None


def subgroup_picture(found: Exhibit, name: str) -> Markup:
    """The first model's area under ROC with its interval in each subgroup that has one, below its feature's name."""
    lines = list(_lines_of_subgroups(found))[:MOST_LINES_DRAWN]
    with drawn(name, height=max(HEIGHT_INCHES, 0.6 + 0.19 * len(lines))) as (figure, axes):
        overall = found.of(found.first)["auroc"]["value"]
        if overall is not None:
            axes.axvline(overall, color=MUTED, linewidth=1, linestyle="--")
        for is_few in (False, True):
            _draw_areas(
                axes, [(n, line) for n, line in enumerate(lines) if line.area and line.is_few is is_few], is_few
            )
        axes.set_yticks(range(len(lines)), [short(line.label) for line in lines])
        for label, line in zip(axes.get_yticklabels(), lines, strict=True):
            label.set_fontweight("normal" if line.area else "bold")
        lows = [line.area["low"] or line.area["value"] for line in lines if line.area]
        axes.set(ylim=(len(lines) - 0.4, -0.6), xlim=(min(0.45, *lows, 1), 1.01), xlabel="area under ROC")
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        told = "How well the model tells patients apart within each subgroup, with its 95 % interval"
        return as_svg(figure, "Subgroups", f"{told}. Hollow marks: fewer than 50 patients. Dashed: all patients.")


@dataclass(frozen=True, slots=True)
class _Line:
    label: str
    area: dict[str, Any] | None = None
    """None of a line that has a feature's name alone."""
    is_few: bool = False


def _lines_of_subgroups(found: Exhibit) -> Iterator[_Line]:
    for feature, groups in groupby(found.document["subgroups"], lambda one: str(one["feature"])):
        models = ((each, each[found.first.role]) for each in groups)
        shown = [each for each, model in models if model and model["auroc"]["value"] is not None]
        if shown:
            yield _Line(feature.replace("_", " "))
        for each in shown:
            yield _Line(each["group"], each[found.first.role]["auroc"], bool(each["few"]))


def _draw_areas(axes: Axes, lines: list[tuple[int, _Line]], is_few: bool) -> None:
    areas = [(n, line.area) for n, line in lines if line.area]
    with_interval = [(n, area["low"], area["high"]) for n, area in areas if area["low"] is not None]
    if with_interval:
        axes.hlines(*zip(*with_interval, strict=True), color=FIRST, linewidth=1.2)
    fill = PAPER if is_few else FIRST
    axes.plot([area["value"] for _, area in areas], [n for n, _ in areas], "o", ms=4, color=FIRST, mfc=fill)


MOST_OF_A_LABEL = 30
"""Letters of usual width: more would leave a picture no room."""


def short(label: str) -> str:
    """So much of a label as there is room for beside a picture."""
    ends = list(accumulate(map(_width, label)))
    if not ends or ends[-1] <= MOST_OF_A_LABEL:
        return label
    return f"{label[: sum(end < MOST_OF_A_LABEL for end in ends)].rstrip()}…"


def _width(letter: str) -> float:
    if east_asian_width(letter) in "WF":
        return 2.0
    return 1.5 if letter.isupper() or letter in "mw%@" else 1.0


def leaning_picture(moves: tuple[tuple[str, float], ...], name: str) -> Markup:
    """How much each feature moves the probabilities, on average."""
    shown = moves[:MOST_LINES_DRAWN]
    height = max(1.8, 0.6 + 0.24 * len(shown))
    with drawn(name, height=height) as (figure, axes):
        axes.barh(np.arange(len(shown)), [100 * value for _, value in shown], height=0.6, color=FIRST)
        axes.set_yticks(range(len(shown)), [short(each.replace("_", " ")) for each, _ in shown])
        axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel="points of probability")
        axes.grid(visible=False, axis="y")
        return as_svg(
            figure, "What the model leans on", "How far each feature moves a patient's probability, on average."
        )
