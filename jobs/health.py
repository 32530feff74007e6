"""python -m jobs.health: exit code 0 if the service is healthy, 1 with the reasons if it is not;
with --why, the meaning of a code. Alarms of the model are shown, and change the exit code only with
--model."""

from typing import NoReturn

from jobs.command import Command, Result, end_with, main_of
from jobs.options import HelpAsked, OptionParser
from pima.errors import Unhealthy, WrongUsage
from pima.logs import tell
from pima.store.database import database_of
from pima.store.engine import reading
from pima.watch.conditions import conditions_or_error
from pima.watch.health import COMPLAINTS


def _options(options: OptionParser) -> None:
    options.add_argument(
        "--why",
        metavar="CODE",
        type=_explain,
        help=(
            "explain a code of an error, of health, of a rejected row, of a verdict or of a run, "
            "and what to do"
        ),
    )

    options.add_argument(
        "--model", action="store_true", help="an alarm of the model is unhealthy, too"
    )


def _explain(code: str) -> NoReturn:
    """Explain a code instead of checking health. Like the help, it needs neither settings nor a
    database."""
    # It imports all modules with codes, which a check does not need.
    from jobs.codes import entries_of

    if not (found := entries_of(code)):
        raise WrongUsage(what="there is no such code; docs/reference/errors.md has them all")
    facts = {"why": [each._asdict() | {"code": each.name} for each in found]}
    raise HelpAsked("\n\n".join(map(str, found)) + "\n", facts)


def _work(command: Command) -> Result:
    found = conditions_or_error(command.engine, command.settings, command.declared)
    if not any(each.hides_others for each in found):
        with reading(command.engine) as connection:
            for each in database_of(connection).others_in_schema(connection):
                tell(each, "warning")
    alarms = [str(each) for each in found if each.is_of_model]
    # Of a reason the sentence names the source.
    reasons = [
        f"{each.code}: {each.what}"
        for each in found
        if each.hides_others or each.code in COMPLAINTS
    ]
    if reasons or (alarms and command.options.model):
        raise Unhealthy(reasons="; ".join((*reasons, *alarms)))
    return {"healthy": True, "alarms": alarms}


def _show(result: Result) -> None:
    print("healthy")
    for alarm in result["alarms"]:
        print(f"alarm of the model: {alarm}")


main = main_of("jobs.health", __doc__, _work, _show, _options, needs_schema=False)

if __name__ == "__main__":
    end_with(main)
