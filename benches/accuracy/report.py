"""docs/measured/accuracy.md: the template beside this file, filled in from one run's results."""

from pathlib import Path
from string import Template

from benches.accuracy.candidates import AS_WRITTEN, Candidate
from benches.accuracy.fit_speed import ROUNDS
from benches.accuracy.folds import FOLDS
from benches.accuracy.judgement import BINS
from benches.accuracy.million import JITTER
from benches.accuracy.provenance import Provenance
from benches.accuracy.results import Large, Results, Row, Target, targets

_TEMPLATE = Path(__file__).with_name("template.md")


def page(results: Results, provenance: Provenance, candidates: list[Candidate]) -> str:
    """The whole page."""
    error = results.crossvalidated[0].figures.error
    found, large = targets(results), results.large[0]
    return Template(_TEMPLATE.read_text()).substitute(
        machine(provenance) | _beside_peers(results),
        shuffles=results.shuffles,
        retrain_seconds=f"{large.of('retrain', 'seconds'):.0f}",
        peak=f"{max(one.of('retrain', 'peak_megabytes') for one in results.large):,.0f}",
        targets_met=sum(one.is_met for one in found),
        targets_all=len(found),
        folds=FOLDS,
        last_shuffle=results.shuffles - 1,
        crossvalidated=figures_table(results.crossvalidated),
        bins=BINS,
        as_written=AS_WRITTEN,
        curve_shuffles=results.curve_shuffles,
        last_seeds=results.shuffles,
        split=split_table(results.split),
        speed_rounds=ROUNDS,
        ours_seconds=f"{results.speed.ours_seconds:.2f}",
        article_seconds=f"{results.speed.article_seconds:.2f}",
        speed_ratio=f"{results.speed.ratio:.1f}",
        large_rows=f"{results.large_rows:,}",
        jitter=JITTER,
        large="\n\n".join(large_table(large) for large in results.large),
        targets=targets_table(found),
        settings="\n".join(
            f"- **{candidate.name}**: {candidate.settings}." for candidate in candidates
        ),
        error=f"{error:.2f}",
        standard_error=f"{(error * (1 - error) / 768) ** 0.5:.3f}",
    )


def _beside_peers(results: Results) -> dict[str, str]:
    """What the page says first of our figures and those of the others that are asked about rows
    that they never saw."""
    ours, *others = (row for row in results.crossvalidated if row.name != AS_WRITTEN)
    peer = min(others, key=lambda row: row.figures.log_loss)
    split, article = results.split[:2]
    return {
        "error_4": f"{ours.figures.error:.4f}",
        "log_loss": f"{ours.figures.log_loss:.4f}",
        "peer": peer.name,
        "peer_log_loss": f"{peer.figures.log_loss:.4f}",
        "split_accuracy": f"{1 - split.figures.error:.1%}",
        "article_accuracy": f"{1 - article.figures.error:.1%}",
    }


def machine(provenance: Provenance) -> dict[str, str]:
    """What a page's template says of the run."""
    others = provenance.others_share
    return {
        "day": str(provenance.day),
        "minutes": f"{provenance.minutes:.0f}",
        "machine": provenance.machine,
        "cores": str(provenance.cores),
        "python": provenance.python,
        "libraries": ", ".join(
            f"{name} {version}" for name, version in provenance.libraries.items()
        ),
        "others": "an unknown share" if others is None else f"{others:.0%}",
    }


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table, the first column to the left and the others to the right, padded to read
    well as text."""
    widths = [max(len(row[n]) for row in (header, *rows)) for n in range(len(header))]

    def line(cells: tuple[str, ...]) -> str:
        padded = [
            cells[0].ljust(widths[0]),
            *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True)),
        ]
        return f"| {' | '.join(padded)} |"

    rule = ["-" * (widths[0] + 2), *("-" * (width + 1) + ":" for width in widths[1:])]
    return "\n".join([line(header), f"|{'|'.join(rule)}|", *map(line, rows)])


def figures_table(rows: list[Row]) -> str:
    """Lower is better in every column but AUC."""
    header = (
        "",
        "shuffles",
        "error",
        "worst shuffle",
        "AUC",
        "log loss",
        "Brier",
        "calibration error",
        "fit, s",
    )
    found = []
    for row in rows:
        f = row.figures
        values = (f.error, f.worst_error, f.auc, f.log_loss, f.brier, f.calibration_error)
        found.append(
            (
                row.name,
                str(row.repetitions),
                *(f"{value:.4f}" for value in values),
                f"{row.fit_seconds:.3f}",
            )
        )
    return table(header, found)


def split_table(rows: list[Row]) -> str:
    """Accuracy on the last 200 rows."""
    header = ("", "fits", "mean accuracy", "worst accuracy")
    found = []
    for row in rows:
        values = (1 - row.figures.error, 1 - row.figures.worst_error)
        found.append((row.name, str(row.repetitions), *(f"{value:.4f}" for value in values)))
    return table(header, found)


def large_table(large: Large) -> str:
    """What each child process took."""
    columns = {
        "seconds": "whole, s",
        "processor_seconds": "processor, s",
        "read_seconds": "reading, s",
        "fit_seconds": "fit, s",
        "peak_megabytes": "peak, MB",
    }
    rows = [
        (what, *(f"{told[name]:.1f}" if name in told else "" for name in columns))
        for what, told in large.children.items()
    ]
    rounds = "one round" if large.rounds == 1 else f"medians of {large.rounds} rounds in turns"
    title = f"{large.database}, {large.training_rows:,} training rows, {rounds}:"
    return f"{title}\n\n{table(('', *columns.values()), rows)}"


def targets_table(wanted: list[Target]) -> str:
    """Each with its figure, met or not."""
    rows = [(one.what, one.wanted, one.found, "met" if one.is_met else "missed") for one in wanted]
    return table(("", "wanted", "measured", ""), rows)
