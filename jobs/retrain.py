"""python -m jobs.retrain: the weekly job, which trains a challenger and promotes it only if it is
better. It learns from the labelled history. Better is right more often on the holdout, with better
probabilities (gate.measure offers other measures)."""

import os
import textwrap

import msgspec
from rich.console import Console

from jobs.command import Command, Result, end_with, main_of
from jobs.model_tables import side_by_side
from jobs.options import OptionParser, add_run_id_option
from pima.core.outcomes.horizon import NEVER_PREDICTED
from pima.core.rows.hindsight import corrections_in_words
from pima.core.verdicts.verdict import Measured, Performance
from pima.logs import counted, in_brackets
from pima.settings.reading import settings_folder
from pima.store.engine import reading
from pima.train.retraining import retrain
from pima.watch.figures import on_threshold


def _options(options: OptionParser) -> None:
    options.add_argument(
        "--dry-run", action="store_true", help="train and decide, but write only the run's own row"
    )
    add_run_id_option(options)
    # TensorFlow reads this variable at import; its notices do not belong in the log.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _work(command: Command) -> Result:
    given = command.options
    run = retrain(
        command.engine,
        command.settings,
        settings_folder(given.config),
        command.declared,
        command.recorded_run("retrain"),
        command.stop,
        given.dry_run,
    )
    with reading(command.engine) as connection:
        remarks = on_threshold(connection, command.settings)
    found = {"run_id": run.id, "dry_run": given.dry_run, **run.counts}
    return found | {"threshold_remarks": remarks}


def _show(result: Result) -> None:
    before = in_brackets(
        result["judged_before"] and "as judged before on the same data, settings and champion"
    )
    weeks = in_brackets(
        result["newest_weeks"]
        and f"the newest {result['newest_weeks']} weeks tell patients apart better than all"
    )
    rows = counted(result["training_rows"], "training row")
    print(f"run {result['run_id']}, {rows}{weeks}{before}")
    if result["twins_kept"]:
        print(
            f"{result['twins_kept']:,} of them have exactly the features of a holdout row and "
            "were kept:"
        )
        print("where so many rows are equal, equality says nothing about the person")
    if any(result["corrected"][what] for what in ("zeros", "ones", "not_kept")):
        print(f"corrected after their prediction: {corrections_in_words(result['corrected'])}")
    if never := result["left_out"].get(NEVER_PREDICTED):
        print(
            f"{counted(never, 'labelled row')} were never predicted in time and are left out\n"
            "(outcome.learn_from)"
        )
    if undecided := result["left_out"].get("side_undecided"):
        print(
            f"{counted(undecided, 'labelled row')} are used for neither side of the holdout "
            "(side_undecided).\n"
            "If `person` was declared after rows had come, begin a new database with it: that "
            "uses them all"
        )
    if result["followed_up"]:
        print(textwrap.fill(result["followed_up"], 79, subsequent_indent="  "))
    print(textwrap.fill(result["explanation"], 79, subsequent_indent="  "))
    if result.get("challenger_scores"):
        both = (result["challenger_scores"], result["champion_scores"])
        table = side_by_side(
            msgspec.convert(both, tuple[Performance, Performance | None]),
            (result["challenger"], result["champion_before"]),
            msgspec.convert(result["measured"], Measured | None),
        )
        Console(highlight=False).print(table)
    for remark in result["threshold_remarks"]:
        print(textwrap.fill(remark, 79, subsequent_indent="  "))
    if result["dry_run"]:
        print("a dry run: nothing was written")


main = main_of("jobs.retrain", __doc__, _work, _show, _options, job="retrain")

if __name__ == "__main__":
    end_with(main)
