"""python -m jobs.explain: why a patient has its prediction: the features that moved it most, and
the meaning of the probability. A row without a prediction is explained as it stands, by today's
champion. It shows the patient's values, because a person asks for this row."""

from jobs.command import Command, Result, end_with, main_of
from jobs.options import ROW, OptionParser, row_called
from pima.logs import counted
from pima.report.explain import TOLD, explain_row, so_far
from pima.runs.recorded_run import as_json
from pima.store.engine import reading

_EXPECTED = "expected a patient's ID, or a SOURCE and the row's KEY there"


def _options(options: OptionParser) -> None:
    options.add_argument("row", nargs="+", metavar="ROW", help=ROW)


def _work(command: Command) -> Result:
    called = row_called(command.settings.sources, command.options.row, _EXPECTED)
    with command.stop.at_once():
        found = explain_row(command.engine, called)
        with reading(command.engine) as connection:
            told = list(so_far(connection, found.model_version))
    return as_json(found) | {"so_far": told}


def _show(result: Result) -> None:
    probability = result["probability"]
    threshold = result["threshold"]
    which = "as it stands"
    if result["scored_at"] is not None:
        which = f"predicted on {result['scored_at']:%Y-%m-%d}"
    print(
        f"patient {result['patient_id']}, {which}, by version {result['model_version']}: "
        f"probability {probability:.2f},",
        end=" ",
    )
    print(f"predicted class {result['predicted_class']} (1 from {threshold:g} on)")
    print(result["meaning"])
    print(*result["so_far"], sep="\n")
    told = result["contributions"][:TOLD]
    others = result["contributions"][TOLD:]
    rows = counted(result["background_rows"], "training row")
    print(f"\nWhat moved it most, from the mean of {result['mean_probability']:.2f} over {rows}:")
    for each in told:
        print(f"  {each['words']}")
    if others:
        rest = sum(each["contribution"] for each in others)
        print(f"  {counted(len(others), 'other feature')}: {rest:+z.2f}")
    if result["differs_today"]:
        since = f"Corrected since, after version {result['patient_version']} of the row"
        print(f"\n{since}: {'; '.join(result['differs_today'])}.")
    if not result["exact"]:
        print("These are estimates, each with its standard error.")
    print("\nThis is how the model came to its number, not what causes the outcome.")


main = main_of("jobs.explain", __doc__, _work, _show, _options)

if __name__ == "__main__":
    end_with(main)
