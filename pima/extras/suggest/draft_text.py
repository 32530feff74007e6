"""A draft as text: TOML that can be used as settings, with the reasons as comments."""

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tomlkit

from pima.core.declared.features import folded_name
from pima.core.declared.source import Source
from pima.core.rows.mapping import empty_by_outcome, one_sided
from pima.extras.suggest import column_names as names
from pima.extras.suggest.draft import DOUBT, Draft, LikelyOutcome, Suggested
from pima.extras.suggest.tables import FEWER, SHOWN_FROM, TableColumn, rows_shown

LEAST_SHARE = 0.25
"""The share of the rarer class below which perhaps no model beats the majority class by
accuracy."""


def as_toml(draft: Draft) -> str:
    """Write the whole draft."""
    source = draft.table.source
    lines = [f"# {line}" for line in _head(draft)]
    lines += ["", "[gate]", _gate(draft.outcome), "", "[outcome]", *_outcome(draft)]
    for feature in draft.features:
        lines += ["", "[[feature]]", *_feature(draft, feature)]
    if draft.refused:
        lines += [
            "",
            "# Refused as features:",
            *(f"# {quoted(each.column)}: {each.reason}" for each in draft.refused),
        ]
    if source is not None:
        of_source = list(_source(draft, source))
        if draft.key is None:
            why = (
                "No column is different in each row. Name a view that has such a key, or the "
                "columns that are it."
            )
            of_source = [f"# {line}" for line in (why, *of_source)]
        lines += ["", *of_source]
    # Characters that can't be printed are escaped, in strings and in comments.
    text = "\n".join((*lines, ""))
    return "".join(
        each if each.isprintable() or each == "\n" else f"\\U{ord(each):08X}" for each in text
    )


def quoted(text: str) -> str:
    """Quote a text in double quotes, as TOML does."""
    return tomlkit.item(text).as_string()


def _line(name: str, value: object, said: str = "") -> str:
    """Write a line, with a comment after it."""
    line = f"{name} = {_item(value).as_string()}"
    if not said:
        return line
    return f"{line} # {said}"


def _item(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return tomlkit.item(value)
    table = tomlkit.inline_table()
    for name, inner in value.items():
        table.append(str(name), _item(inner))
    return table


def _head(draft: Draft) -> Iterator[str]:
    table = draft.table
    name = quoted(table.called)
    rows = f"all {table.rows:,} rows of {name}."
    if not table.is_all:
        rows = f"the first {table.rows:,} rows of {name}: there are more, which were not read."
    yield f"A draft by python -m jobs.suggest, from {rows}"
    if table.unreadable:
        yield (
            f"{rows_shown(table.unreadable)} could not be read, and load refuses a file with such "
            "lines."
        )
    yield (
        "Look at each line before you use it. Above all, is it known before the outcome? If not, "
        "it is no feature."
    )
    yield (
        "Ask of each column when it is known, and whether it is completed or corrected later: rows "
        "loaded so tell more than new ones."
    )
    yield (
        f"Each end of a range comes from {SHOWN_FROM} rows or more, and lies beyond them: narrow "
        "it."
    )
    yield (
        f"Words and codes occur in {SHOWN_FROM} rows or more each. Fill in each unit: nothing is "
        "converted."
    )
    if table.source is not None:
        return
    left_out = [each.column for each in draft.refused if each.is_left_out]
    if left_out and not table.has_names:
        yield (
            "load takes a file without a header only where all its columns are declared: give it "
            "one."
        )
        return
    ignored = [f"--ignore={shlex.quote(name.strip())}" for name in left_out if name.isprintable()]
    yield "With this draft saved as DRAFT.toml, once it has been looked at:"
    yield "  python -m jobs.migrate --config DRAFT.toml"
    yield f"  python -m jobs.load --config DRAFT.toml {' '.join([*ignored, 'FILE'])}"
    if draft.key:
        name = quoted(draft.key.name)
        yield (
            f"Rows by a key, so that outcomes may come later: rename {name} to source_key, and "
            "add a column source."
        )
    if draft.person:
        name = quoted(draft.person.name)
        yield (
            f"Several rows per person: rename {name} to person_key, so that they stay on one side "
            "of the holdout."
        )


def _gate(outcome: LikelyOutcome | None) -> str:
    if outcome is None:
        return _line(
            "measure", "accuracy", f"below {LEAST_SHARE:.0%} of either outcome take log_loss"
        )
    known = outcome.classes.count()
    rarer = outcome.classes.value_counts().min()
    said = f"the rarer outcome is {_share(rarer, known)} of {known:,}: accuracy"
    if rarer < LEAST_SHARE * known:
        return _line("measure", "log_loss", f"{said} would favour a model that never predicts it")
    return _line("measure", "accuracy", f"{said} can tell models apart")


def _outcome(draft: Draft) -> Iterator[str]:
    found = draft.outcome
    if found is None:
        yield _line(
            "name",
            "outcome",
            "no column has two values such as yes and no: name it, and load it later",
        )
        return
    column = found.column.name
    is_called_so = folded_name(column) == "outcome" or not draft.table.has_names
    name = "outcome" if is_called_so else draft.names[column]
    yield _line("name", name, f"two values in {quoted(column)}")
    yield _line("meaning", "", "say what a 1 means")
    asked = "does it come within some time? Each row then needs index_at, from when on"
    yield f"# {_line('horizon', '30 days', asked)}"
    yield from _other_name(draft, name, column)
    if draft.table.source is None and (found.values.no, found.values.yes) != ("0", "1"):
        yield "# load takes 0 and 1 for it: replace the words in the file"


def _other_name(draft: Draft, name: str, column: str) -> Iterator[str]:
    if (
        draft.table.source is None
        and draft.table.has_names
        and folded_name(column) != folded_name(name)
    ):
        yield _line("also_called", [column])


def _feature(draft: Draft, feature: Suggested) -> Iterator[str]:
    column = feature.column
    name = draft.names[column.name]
    kind = feature.kind
    yield _line(
        "name", name, kind if name == column.name else f"{kind}; from {quoted(column.name)}"
    )
    if feature.codes:
        yield _line("kind", "category")
        yield _line("codes", feature.codes)
    if feature.range is not None:
        yield _line("unit", "")
        yield _line("low", feature.range[0])
        yield _line("high", feature.range[1])
    if feature.zero_is_missing:
        yield _line("zero_is_missing", value=True)
    lacks = (
        f"{_share(feature.missing, column.rows)} of the rows lack it"
        if feature.missing
        else "no row lacks it"
    )
    yield _line("may_be_missing", bool(feature.missing), lacks)
    yield from _other_name(draft, name, column.name)
    yield "# when is it known, and is it corrected afterwards?"
    if names.has_word(column.name, names.GROUP):
        yield "# may a model know it? If not, write [[group]] in place of [[feature]], and keep"
        yield "# only its name, its other names, and codes or bands"
    for remark in feature.remarks:
        yield f"# {remark.replace(DOUBT, f'{DOUBT}{name}: ')}"


def _source(draft: Draft, place: Source) -> Iterator[str]:
    person = draft.person
    yield "[[source]]"
    yield _line("name", place.name)
    for place_of_rows in ("query", "table", "schema"):
        if given := getattr(place, place_of_rows):
            yield _line(place_of_rows, given)
    yield from _key(draft.key)
    if person is not None:
        said = (
            f"{person.different_keys:,} different ones in {person.known:,} rows, which stay "
            "together in the holdout"
        )
        yield _line("person", person.name, said)
        yield _line("person_type", person.key_type)
    if draft.outcome is not None:
        yield from _outcome_of_source(draft.outcome)
    for time, pattern in names.KEYS_OF_TIMES.items():
        for column in draft.table.columns:
            told = _time(draft, time, column)
            is_told = names.has_word(column.name, pattern) or " is no outcome_at: " in told
            if is_told and 2 * column.kinds["date"] > column.known:
                yield f"# {told}"
    yield ""
    yield "[source.columns]"
    for feature in draft.features:
        yield _line(draft.names[feature.column.name], _mapped(feature))


def _key(key: TableColumn | None) -> Iterator[str]:
    if key is None:
        yield _line("key", "")
        return
    yield _line("key", key.name, "different in each row, and never missing")
    yield _line("key_type", key.key_type)


def _mapped(feature: Suggested) -> object:
    """The column of a feature, with its words if it has any."""
    name = feature.column.name
    if not feature.has_words:
        return name
    return {"column": name, "words": {word: code for code, word in feature.codes.items()}}


def _time(draft: Draft, time: str, column: TableColumn) -> str:
    if draft.outcome is not None and time not in ("acted_at", "changed_since"):
        is_empty = np.array([number is None for number in column.row_numbers])
        if said := one_sided(empty_by_outcome(draft.outcome.classes.to_numpy(), is_empty)):
            return f"{quoted(column.name)} is no {time}: {said}"
    return _line(time, column.name, "if that is its meaning")


def _outcome_of_source(outcome: LikelyOutcome) -> Iterator[str]:
    column, values, classes = outcome
    said = f"{_share(column.missing, column.rows)} not known yet" if column.missing else ""
    yield _line("outcome", column.name, said)
    if column.known > classes.count():
        yield f"# {FEWER} hold something else there, and are rejected"
    # These pairs mean 0 and 1 without being declared.
    if (values.no, values.yes) not in (("0", "1"), ("false", "true")):
        words = {values.yes: 1, values.no: 0}
        yield _line(
            "outcome_words",
            words,
            "" if values.is_clear else "which of the two is 1? the rarer was taken",
        )


def _share(part: int, whole: int) -> str:
    if 0 < part < whole / 1000:
        return "less than 0.1 %"
    return f"{part / whole:.1%}".replace("%", " %")
