"""python -m tests.support.reference: writes the pages under docs/reference that are made from the
code, and the entries of CONTRIBUTING.md (`make docs`).

Each fact stands in the code, where it works: options in jobs, settings in config/pima.toml,
messages in pima/errors, tables in pima/store/tables.py, metrics in pima/watch/metrics.py. A test
holds the pages equal to what comes of them.
"""

import argparse
import importlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, NoReturn

import msgspec
from sqlalchemy import Column
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url

from jobs.codes import Entry, entries
from pima.core.nights.kinds import SEE, UNTIL
from pima.errors import EXIT_CODES, RightMissing
from pima.settings.reading import values_in_words
from pima.settings.sections import STARTED, Settings
from pima.store.tables import SCRIPT, TABLES, VIEWS, WITH_FEATURES, WITH_SCORES
from pima.store.urls import database_at
from pima.watch.metrics import METRICS
from tests.entries import CONTRIBUTING, contributing
from tests.support.shipped import ROOT

FOLDER = ROOT / "docs" / "reference"
COMMANDS = sorted(
    path.stem for path in (ROOT / "jobs").glob("*.py") if "__main__" in path.read_text()
)
_WRITTEN = "<!-- Written by `make docs` from the code: change it there. -->"
_OF_ALL = ("help", "config", "json")
_HIDDEN = "run_id"
"""The option that is the scheduler's own."""


def pages() -> dict[str, str]:
    """Each page's name -> its text."""
    made = {
        "commands": _commands(),
        "settings": _settings(),
        "errors": _errors(),
        "tables": _tables(),
        "metrics": _metrics(),
    }
    return {f"{name}.md": "\n".join(lines).strip() + "\n" for name, lines in made.items()}


def _head(title: str, *paragraphs: str) -> Iterator[str]:
    yield from (f"# {title}", "", _WRITTEN, "")
    for paragraph in paragraphs:
        yield from (paragraph, "")


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        cells = [cell.replace("|", r"\|") for cell in row]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _prose(text: str) -> str:
    """Text of the code as Markdown: pages that it names are linked, nothing in it is markup but
    backticks."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    for n in range(0, len(parts), 2):
        plain = re.sub(r"([<*])", r"\\\1", parts[n])
        parts[n] = re.sub(r"\bdocs/([\w/-]+\.md)", r"[\1](../\1)", plain)
    return "".join(parts)


class _Found(Exception):
    """A command's options, in place of their use."""


def parser_of(command: str) -> argparse.ArgumentParser:
    """The options of a command, which has begun and goes no further."""

    def found(self: argparse.ArgumentParser, *_: object) -> NoReturn:
        raise _Found(self)

    parse, argparse.ArgumentParser.parse_args = argparse.ArgumentParser.parse_args, found  # type: ignore[assignment]
    try:
        importlib.import_module(f"jobs.{command}").main([], {})
    except _Found as options:
        made: argparse.ArgumentParser = options.args[0]
        return made
    finally:
        argparse.ArgumentParser.parse_args = parse  # type: ignore[method-assign]
    raise AssertionError(command)


def roles() -> dict[str, list[str]]:
    """Each command -> the roles on PostgreSQL that are enough for it, as the error names them."""
    found: dict[str, list[str]] = {}
    said = re.findall(
        r"(pima_\w+|owner) for (.*?)(?=, pima_|, the schema|\. )",
        " ".join(str(RightMissing.__doc__).split()),
    )
    for role, commands in said:
        for command in re.findall(r"\w+", re.sub(r"export of \w+ and \w+", "export", commands)):
            if command in COMMANDS:
                found.setdefault(command, []).append(
                    "the schema's owner" if role == "owner" else f"`{role}`"
                )
    return found


def _commands() -> Iterator[str]:
    parsers = {command: parser_of(command) for command in COMMANDS}
    told = {command: _purpose(options) for command, options in parsers.items()}
    yield from _head(
        "Commands",
        "Each is `python -m jobs.NAME`, or `pima NAME` where a wheel is installed. All but `demo` take `--help`, `--config PATH` (the "
        "settings; default: `config/pima.toml`) and `--json`, with which stdout holds one JSON "
        "object. [Exit codes](errors.md#exit-codes).",
    )
    of = roles()
    rows = (
        [f"[`{name}`](#{name})", told[name].partition(". ")[0], " or ".join(of.get(name, ()))]
        for name in COMMANDS
    )
    yield from _table(("command", "does", "role on PostgreSQL"), rows)
    for name, options in parsers.items():
        yield from (f"## {name}", "", told[name], "", "```text", _usage(options), "```", "")
        yield from _options(options)
        for action in options._actions:
            if isinstance(action, argparse._SubParsersAction):
                helps = {choice.dest: choice.help or "" for choice in action._choices_actions}
                for sub, its in action.choices.items():
                    yield from (
                        f"### {name} {sub}",
                        "",
                        f"{_prose(helps[sub])}.",
                        "",
                        "```text",
                        _usage(its),
                        "```",
                        "",
                    )
                    yield from _options(its)


def _purpose(options: argparse.ArgumentParser) -> str:
    said = _prose(str(options.description)).partition(": ")[2]
    return f"{said[0].upper()}{said[1:]}"


def _usage(options: argparse.ArgumentParser) -> str:
    usage = options.format_usage().removeprefix("usage: ")
    return re.sub(r"\s*\[(-h|--config PATH|--json|--run-id N)\]", "", " ".join(usage.split()))


def _options(options: argparse.ArgumentParser) -> Iterator[str]:
    def name(action: argparse.Action) -> str:
        value = action.metavar or (
            "|".join(map(str, action.choices)) if action.choices else action.dest.upper()
        )
        if not action.option_strings:
            return f"`{action.metavar or action.dest}`"
        return f"`{action.option_strings[-1]}{'' if action.nargs == 0 else f' {value}'}`"

    shown = [
        [name(action), _prose(action.help or "")]
        for action in options._actions
        if action.dest not in (*_OF_ALL, _HIDDEN)
        and not isinstance(action, argparse._SubParsersAction)
    ]
    if any(meaning for _, meaning in shown):
        yield from _table(("option", "what it does"), shown)


class _Keys(NamedTuple):
    """Settings that one comment is about."""

    keys: list[str]
    comment: str


def _settings() -> Iterator[str]:
    yield from _head(
        "Settings",
        "They stand in `config/pima.toml`, or in the file that `--config` names. Each has the "
        "default that is shown. The variable `PIMA_SECTION__KEY` goes over the file "
        "(`PIMA_SCORE__BATCH_ROWS=5000`). `PIMA_SECTION__KEY_FILE` names a file that holds the "
        "value, such as a secret. A key or variable that pima does not know is an error.",
        "The database's URL comes from `DATABASE_URL` or `DATABASE_URL_FILE`; "
        "`PIMA_SCORE__DATABASE_URL`, `PIMA_RETRAIN__DATABASE_URL` and `PIMA_PULL__DATABASE_URL` go "
        "over it for one job. The keys of `[[source]]`, `[outcome]` and `[[feature]]` are on [a "
        "page of their own](declaration.md).",
    )
    for section, (intro, groups) in _commented().items():
        kind: Any = Settings
        for name in section.split("."):
            kind = next(each.type for each in msgspec.structs.fields(kind) if each.name == name)
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        yield from (f"## {section}", "", _prose(str(kind.__doc__)), "")
        if intro:
            yield from (_prose(intro), "")
        rows = []
        for group in groups:
            shown = kind()
            defaults = (f"`{key} = {_in_toml(getattr(shown, key))}`" for key in group.keys)
            takes = dict.fromkeys(
                values_in_words(fields[key].type).replace("'", '"') for key in group.keys
            )
            rows.append(["<br>".join(defaults), _prose("; ".join(takes)), _prose(group.comment)])
        yield from _table(("key and default", "takes", "what it does"), rows)


def _commented() -> dict[str, tuple[str, list[_Keys]]]:
    """Each section of the shipped settings: the comment before it, and its keys with theirs."""
    found: dict[str, tuple[str, list[_Keys]]] = {}
    comment: list[str] = []
    groups: list[_Keys] = []
    for line in (ROOT / "config" / "pima.toml").read_text().splitlines():
        if line.startswith("#"):
            comment.append(line.removeprefix("#").strip())
        elif line.startswith("["):
            groups = []
            found[line.strip("[]")] = (" ".join(comment), groups)
            comment = []
        elif key := re.match(r"(\w+) = ", line):
            if comment or not groups:
                groups.append(_Keys([], " ".join(comment)))
            groups[-1].keys.append(key[1])
            comment = []
        else:
            comment = []
    return found


def _in_toml(value: object) -> str:
    return (
        str(value).lower()
        if isinstance(value, bool)
        else f'"{value}"'
        if isinstance(value, str)
        else f"{value}"
    )


_OF_ALARMS = (
    "`python -m jobs.report` shows all figures, docs/do/watch-it.md explains them. Health's reasons "
    "are told too. Luck and a sound model's error hardly ever make outcomes alarm; that is over when "
    "the outcomes fit again, not by another champion alone."
)
_OF_ERRORS = "Codes of errors are in `runs.error_code`, in the `error` of `--json`, and in health's brackets."
_LATER = (
    "Run the command again later. Unless its message says otherwise, what was committed stays, and "
    "the rest was rolled back."
)
_SAID_ONCE = {
    "alert": (_OF_ALARMS, (f": {SEE}", f" {UNTIL}")),
    "error, exit code 1": (_OF_ERRORS, ()),
    "error, exit code 75": (
        _LATER,
        (" What was committed stays, the rest was rolled back.", " Run this again later."),
    ),
}
"""By kind: what is true of all its codes, and what therefore goes from each."""
_ROLES = re.compile(r"These are enough: .*?(?=`python -m jobs.migrate --roles`)")


def _errors() -> Iterator[str]:
    known = entries()
    yield from _head(
        "Codes: errors, reasons, ends of runs",
        "`python -m jobs.health --why CODE` explains one code. Words in capitals stand for what "
        "the message names. JOB is `retrain`, `score` or `pull`.",
    )
    yield from ("## Exit codes", "")
    yield from _table(
        ("exit code", "what it means"), ((str(code), text) for code, text in EXIT_CODES.items())
    )
    for title, kind in (
        ("What health reports", "reason of health"),
        ("What else alerts tell", "alert"),
        ("Errors of exit code 1", "error, exit code 1"),
        ("Errors of exit code 2", "error, exit code 2"),
        ("Errors of exit code 3", "error, exit code 3"),
        ("Errors of exit code 75", "error, exit code 75"),
        ("Errors of exit codes 130 and 143", "error, exit codes 130 and 143"),
        ("How runs end without an error of the job", "end of a run"),
        ("Why a row has no prediction, or was not learned from", "reason of a row"),
        ("Why `load` refuses a line", "reason of a file's line"),
        ("Why a verdict was given", "reason of a verdict"),
    ):
        yield from (f"## {title}", "")
        if kind in _SAID_ONCE:
            yield from (_prose(_SAID_ONCE[kind][0]), "")
        yield from _codes([each for each in known if each.kind == kind])


def _codes(of: Sequence[Entry]) -> Iterator[str]:
    """Each code as a heading; those that differ by the job or by nothing have one text."""
    texts: dict[str, list[str]] = {}
    for each in of:
        texts.setdefault(_text(each), []).append(each.name)
    for text, names in texts.items():
        yield from (f"### `{name}`" for name in names)
        yield from ("", text, "")


def _text(entry: Entry) -> str:
    told = entry.means
    if entry.advice:
        told += f"\n\nWhat to do: {entry.advice}."
    _, said = _SAID_ONCE.get(entry.kind, ("", ()))
    for each in said:
        told = told.replace(each, "")
    if entry.code == RightMissing.code:
        told = _ROLES.sub("docs/do/give-roles.md says which role is enough. ", told)
    job = next((job for job in STARTED if entry.code.startswith(f"{job}_")), "JOB")
    told = re.sub(rf"(`|jobs\.){job}`", r"\1JOB`", told)
    return "\n\n".join(map(_prose, told.split("\n\n")))


_BELONGING_TOGETHER = """```mermaid
erDiagram
    patients ||--o| scoring_queue : waits
    patients ||--o{ row_history : "earlier versions"
    patients ||--o| row_keys : "first key"
    patients ||--o{ predictions : has
    patients ||--o{ rejections : has
    predictions ||--o{ prediction_scores : "beside it"
    runs ||--o{ predictions : made
    runs ||--o{ rejections : made
    model_versions ||--o{ predictions : made
    runs ||--o| model_versions : fitted
    model_versions ||--o| training_snapshots : "fitted on"
    runs ||--o| tallies : counted
    runs ||--o{ monitoring : "figures of"
    champion |o--o| model_versions : "points to"
    promotions }o--|| model_versions : judged
    promotions }o--o| test_sets : "judged on"
```"""


def _tables() -> Iterator[str]:
    yield from _head(
        "Tables",
        "What `python -m jobs.migrate` makes. The types are PostgreSQL's; SQLite has its own for "
        "them. [Architecture](../understand/architecture.md#tables) says what keeps them true.",
    )
    yield from (_BELONGING_TOGETHER, "")
    features = " and ".join(f"`{name}`" for name in WITH_FEATURES)
    scores = " and ".join(f"`{name}`" for name in WITH_SCORES)
    yield from (
        f"{features} have a column of type DOUBLE PRECISION for each declared feature besides.",
        f"So have {scores} for each score in use, and `patients` for each group.",
        "",
    )
    for table in TABLES:
        yield from (f"## {table.name}", "", table.info["meaning"], "")
        choices = table.info["checks"].values()
        yield from _table(
            ("column", "type", "what it holds"),
            (_column(column, choices) for column in table.columns),
        )
    for view, columns in _columns_of_views().items():
        yield from (
            f"## {view}",
            "",
            f"A view. {VIEWS[view]}",
            "",
            f"Its columns: {', '.join(columns)}.",
            "",
        )


def _column(column: Column[Any], choices: Iterable[str]) -> list[str]:
    database_at(make_url("postgresql://"))
    kind = str(column.type.compile(dialect=postgresql.dialect())).partition(" COLLATE")[0]
    kind = kind.replace("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ")
    holds = (" (key)" if column.primary_key else "") + (", or NULL" if column.nullable else "")
    one_of = next(
        (
            re.findall(r"'(\w+)'", text)
            for text in choices
            if text.startswith(f"{column.name} IN ('")
        ),
        [],
    )
    listed = f": {', '.join(f'`{each}`' for each in one_of)}" if one_of else ""
    return [f"`{column.name}`", f"{kind}{holds}", f"{column.doc}{listed}"]


def _columns_of_views() -> dict[str, list[str]]:
    found = {}
    for view, query in re.findall(
        r"CREATE VIEW (\w+) .*? AS\n(.*?);", SCRIPT.read_text("utf-8"), re.DOTALL
    ):
        flat, previous = query, ""
        while flat != previous:  # what stands in brackets has commas and a FROM of its own
            flat, previous = re.sub(r"\([^()]*\)", "", flat), flat
        columns = flat.partition("SELECT ")[2].partition("FROM ")[0].split(",")
        found[view] = [f"`{column.split()[-1].rpartition('.')[2]}`" for column in columns]
    return found


def _metrics() -> Iterator[str]:
    yield from _head(
        "Metrics",
        "With `metrics.port` set, the scheduler serves them to Prometheus at `/metrics`. Each is "
        "read from the "
        "database when it is asked for. Those of sources are there where the settings have some.",
    )
    rows = (
        [
            f"`{name}{'_total' if metric.is_counter else ''}`",
            "counter" if metric.is_counter else "gauge",
            ", ".join(f"`{label}`" for label in metric.labels),
            _prose(metric.text),
        ]
        for name, metric in METRICS.items()
    )
    yield from _table(("metric", "type", "labels", "what it says"), rows)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text)
    CONTRIBUTING.write_text(contributing())
