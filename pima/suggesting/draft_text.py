"""A draft as text: TOML that the settings read as it is, with the reason beside each line."""

import shlex
from collections.abc import Iterator

from pima.core.features import folded_name
from pima.suggesting.draft import Draft
from pima.suggesting.features import Suggested
from pima.suggesting.outcomes import LEAST_SHARE, Outcome
from pima.suggesting.shown import FEWER, SHOWN_FROM, rows_shown
from pima.suggesting.tables import Place
from pima.suggesting.toml_text import line, quoted


def as_toml(draft: Draft) -> str:
    """The whole text."""
    parts = [_head(draft), _gate(draft), _outcome(draft)]
    parts += [_feature(draft, feature) for feature in draft.features]
    parts += [_refused(draft)] if draft.refused else []
    parts += [_source(draft, draft.table.place)] if draft.table.place else []
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _head(draft: Draft) -> Iterator[str]:
    table = draft.table
    name = quoted(table.called)
    rows = f"all {table.rows:,} rows of {name}."
    if not table.is_all:
        rows = f"the first {table.rows:,} rows of {name}: there are more, which were not read."
    yield f"# A draft by python -m jobs.suggest, from {rows}"
    if table.unreadable:
        yield f"# {rows_shown(table.unreadable)} could not be read, and load refuses a file with such lines."
    yield "# Look at each line before you use it. Above all, is it known before the outcome? If not, it is no feature."
    yield f"# Each end of a range comes from {SHOWN_FROM} rows or more, and lies beyond them: narrow it."
    yield f"# Words and codes occur in {SHOWN_FROM} rows or more each. Fill in each unit: nothing is converted."
    if table.place is None:
        yield from _how_to_load(draft)


def _how_to_load(draft: Draft) -> Iterator[str]:
    left_out = [each.column for each in draft.refused if each.is_left_out]
    if left_out and not draft.table.has_names:
        yield "# load takes a file without a header only where all its columns are declared: give it one."
        return
    ignored = " ".join(f"--ignore={shlex.quote(name.strip())}" for name in left_out if name.isprintable())
    yield "# With this draft saved as DRAFT.toml, once it has been looked at:"
    yield "#   python -m jobs.migrate --config DRAFT.toml"
    yield f"#   python -m jobs.load --config DRAFT.toml {ignored}{' ' if ignored else ''}FILE"
    if draft.key:
        name = quoted(draft.key.names[0])
        yield f"# Rows by a key, so that outcomes may come later: rename {name} to source_key, and add a column source."
    if draft.person:
        name = quoted(draft.person.column.name)
        yield f"# Several rows per person: rename {name} to person_key, so that they stay on one side of the holdout."


def _gate(draft: Draft) -> Iterator[str]:
    outcome = draft.outcome
    is_rare = outcome is not None and outcome.rarer < LEAST_SHARE * outcome.known
    yield "[gate]"
    if outcome is None:
        yield line("measure", "accuracy", f"below {LEAST_SHARE:.0%} of either outcome take log_loss")
        return
    share = _share(outcome.rarer, outcome.known) if outcome.rarer >= SHOWN_FROM else FEWER
    reason = "accuracy would favour a model that never predicts it" if is_rare else "accuracy can tell models apart"
    said = f"the rarer outcome is {share} of {outcome.known:,}: {reason}"
    yield line("measure", "log_loss" if is_rare else "accuracy", said)


def _outcome(draft: Draft) -> Iterator[str]:
    outcome = draft.outcome
    yield "[outcome]"
    if outcome is None:
        yield line("name", "outcome", "no column has two values such as yes and no: name it, and load it later")
        return
    yield line("name", outcome_name(draft, outcome), f"two values in {quoted(outcome.column.name)}")
    yield line("meaning", "", "say what a 1 means")
    if draft.table.place is None and draft.table.has_names:
        yield from _also_called(outcome_name(draft, outcome), outcome.column.name)
        if (outcome.values.no, outcome.values.yes) != ("0", "1"):
            yield "# load takes 0 and 1 for it: replace the words in the file"
    if outcome.others:
        yield f"# other columns that might be the outcome: {', '.join(map(quoted, outcome.others))}"


def outcome_name(draft: Draft, outcome: Outcome) -> str:
    """What the outcome is called: as the column, as far as that is a plain name."""
    column = outcome.column.name
    is_called_so = folded_name(column) == "outcome" or not draft.table.has_names
    return "outcome" if is_called_so else draft.names[column]


def _also_called(name: str, column: str) -> Iterator[str]:
    if folded_name(column) != folded_name(name):
        yield line("also_called", [column])


def _feature(draft: Draft, feature: Suggested) -> Iterator[str]:
    column = feature.column
    name = draft.names[column.name]
    yield "[[feature]]"
    yield line("name", name, feature.kind if name == column.name else f"{feature.kind}; from {quoted(column.name)}")
    if feature.codes is not None:
        yield line("kind", "category")
        yield line("codes", feature.codes)
    if feature.range is not None:
        yield line("unit", "")
        yield line("low", feature.range.low, _beyond(feature.range.below, "below"))
        yield line("high", feature.range.high, _beyond(feature.range.above, "above"))
    if feature.zero_is_missing:
        yield line("zero_is_missing", True)
    share = _share(feature.missing, column.rows)
    lacks = f"{share} of the rows lack it" if feature.missing else "no row lacks it"
    yield line("may_be_missing", bool(feature.missing), lacks)
    if draft.table.place is None and draft.table.has_names:
        yield from _also_called(name, column.name)
    for remark in feature.remarks:
        yield f"# {remark}"


def _beyond(rows: int, where: str) -> str:
    return f"{rows_shown(rows)} lie {where} and would be rejected" if rows else ""


def _refused(draft: Draft) -> Iterator[str]:
    yield "# Refused as features:"
    for each in draft.refused:
        yield f"# {quoted(each.column)}: {each.reason}"


def _source(draft: Draft, place: Place) -> Iterator[str]:
    lines = _lines_of_source(draft, place)
    if draft.key is not None:
        yield from lines
        return
    yield "# No column is different in each row, nor are two or three together: name a view that has such a key."
    for each in lines:
        yield f"# {each}"


def _lines_of_source(draft: Draft, place: Place) -> Iterator[str]:
    yield "[[source]]"
    yield line("name", place.source)
    yield line("query", place.query) if place.query else line("table", place.table)
    if place.schema is not None:
        yield line("schema", place.schema)
    yield from _key(draft)
    yield from _person(draft)
    yield from _outcome_of_source(draft)
    if draft.changed_since:
        said = "if each change of a row sets it: a pull then reads only what has changed"
        yield f"# {line('changed_since', draft.changed_since, said)}"
    yield ""
    yield "[source.columns]"
    for feature in draft.features:
        name, column = draft.names[feature.column.name], feature.column.name
        words = {label: code for code, label in (feature.codes or {}).items()} if feature.has_words else {}
        yield line(name, {"column": column, "words": words} if words else column)


def _key(draft: Draft) -> Iterator[str]:
    key = draft.key
    if key is None:
        yield line("key", "")
        return
    others = f"; so is {', '.join(map(quoted, key.others))}" if key.others else ""
    one = len(key.names) == 1
    yield line("key", key.names[0] if one else key.names, f"different in each row, and never missing{others}")
    yield line("key_type", key.types[0] if one else key.types)


def _person(draft: Draft) -> Iterator[str]:
    person = draft.person
    if person is None:
        return
    column = person.column
    said = f"{column.different_keys:,} different ones in {column.known:,} rows, which stay together in the holdout"
    # Another column than a person's would tear persons apart and tie others together.
    mark = "" if person.is_clear else "# perhaps: "
    yield f"{mark}{line('person', column.name, said)}"
    yield f"{mark}{line('person_type', column.key_type)}"


def _outcome_of_source(draft: Draft) -> Iterator[str]:
    outcome = draft.outcome
    if outcome is None:
        return
    missing = outcome.column.missing
    said = f"{_share(missing, outcome.column.rows)} not known yet" if missing else ""
    yield line("outcome", outcome.column.name, said)
    if outcome.values.others:
        yield f"# {FEWER} hold something else there, and are rejected"
    if outcome.values.needs_words:
        yield _outcome_words(outcome)
    if draft.outcome_at:
        yield f"# {line('outcome_at', draft.outcome_at, 'if that is when the outcome became known')}"


def _outcome_words(outcome: Outcome) -> str:
    if outcome.rarer < SHOWN_FROM:
        return f"# outcome_words = {{ ... = 1, ... = 0 }}  # one of them stands in {FEWER}, so they are not shown"
    spelled = outcome.column.spelled
    words = {spelled.get(word, word): n for word, n in ((outcome.values.yes, 1), (outcome.values.no, 0))}
    unclear = "" if outcome.values.is_clear else "which of the two is 1? the rarer was taken"
    return line("outcome_words", words, unclear)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}".replace("%", " %") if not 0 < part < whole / 1000 else "less than 0.1 %"
