"""python -m jobs.migrate: brings the database's schema to the one that this release needs. It is
safe to run twice, and in two containers at once."""

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser, this_user, why
from pima.errors import WrongUsage
from pima.redeclaring import redeclare, would_redeclare
from pima.runs.recorded_run import as_json
from pima.settings.reading import require_score_to_beat
from pima.store.database import database_of
from pima.store.schema import HEAD, migrate, require_roles, require_schema
from pima.store.urls import require_file


def _options(options: OptionParser) -> None:
    options.add_argument(
        "--roles",
        action="store_true",
        help=(
            "also make or repair the roles: pima_scorer, _trainer, _loader, _writer, _scheduler, "
            "_operator, _eraser, _reader, _monitor"
        ),
    )
    options.add_argument(
        "--features",
        action="store_true",
        help=(
            "carry a changed declaration over: columns, triggers, and rows that it judges "
            "differently"
        ),
    )
    options.add_argument(
        "--reason", type=why, metavar="TEXT", help="why the features change, for the record"
    )
    options.add_argument(
        "--dry-run",
        action="store_true",
        help="with --features: say what it would do, change nothing",
    )


def _work(command: Command) -> Result:
    given = command.options
    if given.features:
        return _carry_over(command)
    if given.dry_run or given.reason:
        raise WrongUsage(what="--dry-run and --reason go with --features.")
    if given.roles:
        require_roles(command.engine)
    migrated = migrate(command.engine, command.settings.holdout, command.declared, given.roles)
    roles: Result = {"roles": migrated.roles} if given.roles else {}
    require_score_to_beat(command.settings, require_schema(command.engine).score_columns)
    triggers = {"triggers_made_anew": migrated.made_anew} if migrated.made_anew else {}
    return {"revision_before": migrated.before, "revision": HEAD} | roles | triggers


def _carry_over(command: Command) -> Result:
    given = command.options
    if not (given.reason or given.dry_run) or given.roles:
        raise WrongUsage(what="--features takes --reason TEXT, or --dry-run, and not --roles.")
    require_file(command.engine.url)
    if not given.dry_run:
        migrate(command.engine, command.settings.holdout, declared=None)
    require_schema(command.engine)
    if given.dry_run:
        done = would_redeclare(command.engine, command.declared)
    else:
        done = redeclare(command.engine, command.declared, this_user(), given.reason)
    # The loader keeps its rights on a retired column, so only added columns need new ones.
    roles = {"roles_to_mend": bool(done.added) and not database_of(command.engine).is_a_file}
    return as_json(done) | roles


def _show(result: Result) -> None:
    if "added" in result:
        _show_changes(result)
        return
    if "roles" in result:
        print(f"roles: {', '.join(result['roles'])}; give each that you use a password")
    if "triggers_made_anew" in result:
        print(f"triggers made again; what was wrong: {result['triggers_made_anew']}")
        print(
            "rows that were written meanwhile may not wait to be scored: python -m jobs.requeue "
            "puts them on the queue"
        )
    elif result["revision_before"] == result["revision"]:
        print(f"the schema is at revision {result['revision']}, nothing to do")
    else:
        print(
            f"the schema went from {result['revision_before'] or 'nothing'} to revision "
            f"{result['revision']}"
        )


def _show_changes(result: Result) -> None:
    lines = [
        f"{word}: {', '.join(result[word])}"
        for word in ("added", "revived", "retired")
        if result[word]
    ]
    lines += [
        f"changed: {name} ({', '.join(fields)})" for name, fields in result["changed"].items()
    ]
    lines += ["the features are in another order"] if result["reordered"] else []
    print("\n".join(lines) or "the database's declaration is that of the settings, nothing to do")
    for name, fields in result["changed"].items():
        if "unit" in fields:
            print(
                f"models know numbers, not units, and go on with {name} as it is written: unless "
                "the unit is only spelled otherwise, keep it and convert the values, or give the "
                "feature in its new unit another name"
            )
    counts = (
        ("unlabelled rows rejected from now on", result["rejected_from_now"]),
        ("labelled rows that the next model can't learn from", result["left_out_of_training"]),
    )
    for what, by_reason in counts:
        for reason, rows in by_reason.items():
            print(f"{what}: {rows:,} ({reason})")
    if result["scored_again"]:
        print(
            f"rows that were rejected before and are to be scored now: {result['scored_again']:,}"
        )
    if result["dry_run"]:
        print("a dry run: nothing was changed")
    elif result["roles_to_mend"]:
        print(
            "done. Where roles are in use, run python -m jobs.migrate --roles, so that the loader "
            "gets the new columns"
        )
    elif lines:
        print("done")


main = main_of("jobs.migrate", __doc__, _work, _show, _options, needs_schema=False)

if __name__ == "__main__":
    end_with(main)
