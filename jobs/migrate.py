"""python -m jobs.migrate: brings the database's schema to the one that this release needs. Safe to run twice, and
by two containers at once."""

import os
import sys
from collections.abc import Mapping, Sequence

from jobs.command import Command, Result, parser, run_command
from pima.store.roles import make_roles, require_roles
from pima.store.schema import HEAD, REVISIONS, migrate, require_schema


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command, with everything injected; returns the exit code."""
    options = parser("migrate", __doc__ or "")
    options.add_argument("--to", choices=REVISIONS, default=HEAD, metavar="REVISION", help="go back to an older schema")
    options.add_argument(
        "--roles",
        action="store_true",
        help="then make the roles pima_scorer, _trainer, _loader, _scheduler, _operator, _reader",
    )
    return run_command(options, _work, _show, arguments, environ, needs_schema=False)


def _work(command: Command) -> Result:
    if command.options.roles:
        require_roles(command.engine)
    holdout = command.settings.holdout
    before, after = migrate(command.engine, holdout.salt, command.options.to, holdout.share)
    if after == HEAD:
        require_schema(command.engine)
    made = {"roles": make_roles(command.engine)} if command.options.roles else {}
    return {"revision_before": before, "revision": after} | made


def _show(result: Result) -> None:
    if "roles" in result:
        print(f"roles: {', '.join(result['roles'])}; give each that you use a password")
    if result["revision_before"] == result["revision"]:
        print(f"the schema is at revision {result['revision']}, nothing to do")
    else:
        print(f"the schema went from {result['revision_before'] or 'nothing'} to revision {result['revision']}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
