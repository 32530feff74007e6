"""python -m jobs.alert: sends alerts of problems and of changes of the champion to the addresses in
alerts.urls. A problem is reported when it begins, once a day, and once when it is over. The
scheduler does so by itself."""

from collections.abc import Mapping

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser
from pima.errors import AlertsNotDelivered, WrongConfiguration, extra_missing
from pima.logs import counted
from pima.runs.recorded_run import as_json
from pima.watch.alert_sending import Problem
from pima.watch.alerts import Teller, receivers


def _options(options: OptionParser) -> None:
    which = options.add_mutually_exclusive_group()
    which.add_argument(
        "--test", action="store_true", help="send each receiver a message that says it is a test"
    )
    which.add_argument(
        "--dry-run", action="store_true", help="show what would be sent, and send nothing"
    )


def _work(command: Command) -> Result:
    teller = Teller(command.engine, command.settings, command.declared, command.environ)
    number = len(receivers(command.settings.alerts))
    if command.options.dry_run:
        conditions = teller.conditions()
        alerts, _ = teller.due(conditions)
        return {
            "receivers": number,
            "conditions": [as_json(condition) for condition in conditions],
            "would_be_told": [alert.name for alert in alerts],
        }
    if not number:
        expected = (
            "an address a line, such as mailtos://..., in PIMA_ALERTS__URLS_FILE; or --dry-run"
        )
        raise WrongConfiguration(what="alerts.urls has no address", expected=expected)
    if command.options.test:
        _require_taken(teller.test())
        return {"receivers": number, "tested": number}
    telling = teller.tell()
    _require_taken(telling.problems)
    return {"receivers": number, "told": telling.told, "over": telling.over}


def _require_taken(problems: Mapping[int, Problem]) -> None:
    """Raise the worst problem: one that no later attempt can solve comes first."""
    if Problem.EXTRA_MISSING in problems.values():
        raise extra_missing("alerts")
    unknown = [
        str(number) for number, problem in problems.items() if problem is Problem.UNKNOWN_ADDRESS
    ]
    if unknown:
        what = f"apprise knows no such address as number {' and '.join(unknown)} of alerts.urls"
        raise WrongConfiguration(
            what=what, expected="one that begins like mailtos:// or ntfys://, as apprise has them"
        )
    if problems:
        named = ", ".join(f"number {number} ({problem})" for number, problem in problems.items())
        raise AlertsNotDelivered(receivers=named)


def _show(result: Result) -> None:
    if "conditions" in result:
        print(
            f"{counted(result['receivers'], 'receiver')}, "
            f"{counted(len(result['conditions']), 'condition')}"
        )
        for condition in result["conditions"]:
            print(f"{condition['name']}: {condition['what']}\n    {condition['advice']}")
        print(f"would be told now: {', '.join(result['would_be_told']) or 'nothing'}")
    elif "tested" in result:
        print(f"{counted(result['tested'], 'receiver')} took the test")
    else:
        print(
            f"told: {', '.join(result['told']) or 'nothing'}; over: "
            f"{', '.join(result['over']) or 'nothing'}"
        )


main = main_of("jobs.alert", __doc__, _work, _show, _options, needs_schema=False)

if __name__ == "__main__":
    end_with(main)
