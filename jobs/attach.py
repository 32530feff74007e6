"""python -m jobs.attach: puts triggers on a source's table, where that is in pima's own database. They note which rows
are touched, so that a pull compares only those."""

import os
import sys
from collections.abc import Mapping, Sequence

from jobs.command import Command, Result, parser, run_command
from pima.core.source import Source
from pima.errors import AttachFaulty, WrongUsage
from pima.intake.attaching import attach_statements, carry_out, detach_statements
from pima.reading_settings import source_url
from pima.store.attaching import AttachFault, attach_faults, attached_names
from pima.store.engine import reading
from pima.store.source_engine import make_source_engine


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """The command, with everything injected; returns the exit code."""
    options = parser("attach", __doc__ or "")
    options.add_argument("names", nargs="*", metavar="NAME", help="sources by name; --check without names checks all")
    options.add_argument("--detach", action="store_true", help="drop the triggers, and what they noted")
    options.add_argument("--sql", action="store_true", help="print the SQL, for a database administrator to run")
    options.add_argument(
        "--check", action="store_true", help="report triggers that are gone, disabled or altered; exit 1 if any are"
    )
    return run_command(options, _work, _show, arguments, environ)


def _work(command: Command) -> Result:
    given = command.options
    if given.check and (given.detach or given.sql):
        raise WrongUsage(what="--check goes with names alone.")
    if not given.check and not given.names:
        raise WrongUsage(what="Name the sources.")
    with reading(command.engine) as connection:
        attached = attached_names(connection)
    declared = {source.name: source for source in command.settings.sources}
    known = declared.keys() | (attached if given.check or given.detach else ())
    if set(given.names) - known:
        names = ", ".join(sorted(known)) or "none"
        raise WrongUsage(what=f"a NAME is no source of the settings, and not attached; there are: {names}")
    if given.check:
        return _checked(command, attached)
    return _made(command, declared)


def _checked(command: Command, attached: list[str]) -> Result:
    asked = command.options.names or attached
    with reading(command.engine) as connection:
        found = attach_faults(connection, command.settings.sources)
    faults = [fault for fault in found if fault.source in asked]
    faults += [AttachFault(name, "it is not attached") for name in asked if name not in attached]
    if faults:
        raise AttachFaulty(faults="; ".join(f"{fault.source}: {fault.what}" for fault in faults))
    return {"sound": asked}


def _made(command: Command, declared: Mapping[str, Source]) -> Result:
    given = command.options
    made = {name: _statements(command, declared, name) for name in dict.fromkeys(given.names)}
    if given.sql:
        return {"sql": "\n".join(_as_sql(statements) for statements in made.values())}
    for name, statements in made.items():
        carry_out(command.engine, name, statements)
    return {"detached" if given.detach else "attached": list(made)}


def _statements(command: Command, declared: Mapping[str, Source], name: str) -> list[str]:
    if command.options.detach:
        return detach_statements(command.engine, name)
    engine = make_source_engine(name, source_url(command.environ, name), command.settings.database)
    try:
        return attach_statements(command.engine, declared[name], engine)
    finally:
        engine.dispose()


def _as_sql(statements: list[str]) -> str:
    """As one transaction."""
    return "".join(f"{statement};\n" for statement in ("BEGIN", *statements, "COMMIT"))


def _show(result: Result) -> None:
    if "sql" in result:
        print(result["sql"], end="")
    elif "attached" in result:
        print(f"attached: {', '.join(result['attached'])}; the next pull compares all, then what was touched")
    elif "detached" in result:
        print(f"detached: {', '.join(result['detached'])}; pulls go by changed_since, or compare all")
    else:
        print(f"as they were attached: {', '.join(result['sound']) or 'no source is'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
