"""python -m jobs.pull: brings the patients up to date from the sources that the settings declare.
New rows are inserted, changed rows corrected, all others left untouched."""

from collections.abc import Sequence

from jobs.command import Command, Result, end_with, main_of
from jobs.options import OptionParser, add_run_id_option
from pima.core.declared.source import Source
from pima.errors import WrongUsage
from pima.intake.sources.pulling import Pull, open_source, pull_sources
from pima.intake.sources.source_engine import make_source_engine
from pima.logs import counted, in_brackets
from pima.settings.reading import require_urls_of_sources, source_url
from pima.settings.sections import Settings


def _options(options: OptionParser) -> None:
    options.add_argument("names", nargs="*", metavar="NAME", help="sources by name (default: all)")
    options.add_argument(
        "--full",
        action="store_true",
        help="compare each source as a whole, regardless of changed_since",
    )
    options.add_argument(
        "--dry-run", action="store_true", help="compare and count, but write only the run's own row"
    )
    add_run_id_option(options)


def _work(command: Command) -> Result:
    given = command.options
    require_urls_of_sources(command.environ, command.settings.sources)
    chosen = _chosen(command.settings, given.names)
    opened = []
    try:
        with command.recorded_run("pull") as run:
            for source in chosen:
                url = source_url(command.environ, source.name)
                engine = make_source_engine(source.name, url, command.settings.database)
                opened.append(open_source(source, command.declared.arriving, engine))
            declared = command.settings.source_names
            pull = Pull(command.engine, run, command.stop, given.dry_run, given.full, declared)
            pull_sources(pull, opened)
    finally:
        for each in opened:
            each.engine.dispose()
    return {"run_id": run.id, "dry_run": given.dry_run, **run.counts}


def _chosen(settings: Settings, names: Sequence[str]) -> list[Source]:
    known = settings.source_names
    if not known:
        raise WrongUsage(
            what=(
                "the settings declare no [[source]], so there is nothing to pull; `python -m "
                "jobs.suggest` drafts one"
            )
        )
    if set(names) - set(known):
        raise WrongUsage(
            what=f"a NAME is no source of the settings; they declare: {', '.join(known)}"
        )
    return [source for source in settings.sources if source.name in names or not names]


def _show(result: Result) -> None:
    for source in result["sources"]:
        part = " (of what has changed)" if source["compared"] == "changed" else ""
        kinds = {
            "inserted": "with new rows",
            "arrived": "arrived",
            "corrected": "corrected",
            "cleared": "cleared",
        }
        if source["outcomes_held_back"]:
            kinds["held_back"] = "held back until their time"
        outcomes = ", ".join(
            f"{source[f'outcomes_{kind}']:,} {words}" for kind, words in kinds.items()
        )
        print(
            f"{source['source']}: {counted(source['rows'], 'row')} read{part}, "
            f"{source['inserted']:,} inserted, {source['updated']:,} updated, "
            f"{source['unchanged']:,} unchanged, {source['rejected']:,} rejected, "
            f"{source['vanished']:,} vanished, {source['deleted']:,} deleted; outcomes: {outcomes}"
        )
        if source["undeletable"]:
            print(
                f"  {counted(source['undeletable'], 'vanished row')} kept by a foreign key or a "
                "trigger of yours"
            )
        if early := source["before_person"]:
            print(
                f"  rows that came before their person was known, or as another's: {early:,}. "
                "Many of them are used for neither side of the holdout (side_undecided). A new "
                "database, pulled with `person` from the start, uses them all"
            )
        for name, what in source["one_sided_times"].items():
            print(
                f"  {name} is {what}. Fill it for both, or leave it out: else the newest outcomes "
                "are all of one kind, and no model can be judged on them"
            )
        for reason, rows in source["rejected_by_reason"].items():
            by_field = source["rejected_by_field"].get(reason, {})
            told = {f"{reason} of {name}": count for name, count in by_field.items()} or {
                reason: rows
            }
            for what, count in told.items():
                print(f"  {what}: {counted(count, 'row')}")
        for name, rows in source["unknown_taken"].items():
            print(f"  {name}: {counted(rows, 'unknown value')} taken as its declaration says")
    dry_run = in_brackets(result["dry_run"] and "dry run, nothing written")
    print(f"run {result['run_id']}{dry_run}")


main = main_of("jobs.pull", __doc__, _work, _show, _options, job="pull")

if __name__ == "__main__":
    end_with(main)
