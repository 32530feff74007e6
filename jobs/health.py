"""python -m jobs.health: exit code 0 where the service is well, 1 with the reasons where it is not; with --why, what a
code means."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NoReturn

from jobs.command import Command, Result, parser, run_command
from jobs.options import HelpAsked
from pima.errors import Unhealthy, WrongUsage
from pima.watch.health import complaints


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command, with everything injected; returns the exit code."""
    options = parser("health", __doc__ or "")
    options.add_argument(
        "--why",
        metavar="CODE",
        type=partial(_explain, as_json="--json" in arguments),
        help="what a code means and what to do: of an error, of health, of a rejected row, of a verdict, of a run",
    )
    return run_command(options, _work, _show, arguments, environ, needs_schema=False, needs_output=False)


def _explain(code: str, as_json: bool) -> NoReturn:
    """Show what is known of a code in place of looking: like the help, that needs neither settings nor a database."""
    from jobs.codes import entries_of, near  # with all that has codes, which looking does without

    found, names = entries_of(code), ", ".join(near(code))
    if not found:
        raise WrongUsage(what="there is no such code" + (f"; near it: {names}" if names else ""))
    if as_json:
        raise HelpAsked(json.dumps({"why": [each._asdict() | {"code": each.name} for each in found]}) + "\n")
    raise HelpAsked("\n\n".join(map(str, found)) + "\n")


def _work(command: Command) -> Result:
    found = complaints(command.engine, command.settings, command.declared)
    if found:
        raise Unhealthy(reasons="; ".join(map(str, found)))
    return {"healthy": True}


def _show(_result: Result) -> None:
    print("healthy")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
