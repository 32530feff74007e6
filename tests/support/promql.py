"""As much of Prometheus as evaluates the queries under deploy/, on two scrapes of the real endpoint a range apart."""

import operator
import re
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import promql_parser as promql
from prometheus_client.parser import text_string_to_metric_families

Labels = frozenset[tuple[str, str]]
Vector = dict[Labels, float]
NONE: Labels = frozenset()
"""A number's, which stands beside any series."""
_OPERATORS = {"-": operator.sub, "*": operator.mul, "/": lambda a, b: a / b if b else float("nan")}
_COMPARISONS = {">": operator.gt, "<": operator.lt, "==": operator.eq}


def scraped(text: str) -> dict[str, Vector]:
    """The endpoint's answer: name -> labels -> value."""
    found: dict[str, Vector] = defaultdict(dict)
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            found[sample.name][frozenset(sample.labels.items())] = sample.value
    return dict(found)


def selectors(query: str) -> list[Any]:
    """Every series that a query asks for."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(promql.parse(query), visit)
    return found


def chosen(selector: Any, scrape: dict[str, Vector]) -> Vector:
    """The series of a scrape that a selector takes."""

    def matches(matcher: Any, value: str) -> bool:
        is_equal = matcher.op == promql.MatchOp.Equal
        return value == matcher.value if is_equal else re.fullmatch(matcher.value, value) is not None

    series = scrape.get(selector.name, {}).items()
    wanted = selector.matchers.matchers
    return {labels: value for labels, value in series if all(matches(m, dict(labels).get(m.name, "")) for m in wanted)}


@dataclass(frozen=True)
class Prometheus:
    """Two scrapes: one at the beginning of each range, one now."""

    before: dict[str, Vector]
    after: dict[str, Vector]
    now: float

    def answer(self, query: str) -> Vector:
        """What a query gives."""
        return self._value(promql.parse(query))

    def _value(self, node: Any) -> Vector:
        match node:
            case promql.NumberLiteral():
                return {NONE: float(node.val)}
            case promql.ParenExpr():
                return self._value(node.expr)
            case promql.VectorSelector():
                return chosen(node, self.after)
            case promql.Call():
                return self._called(node.func.name, *node.args)
            case promql.AggregateExpr():
                kept, sums = set(node.modifier.labels) if node.modifier else set(), defaultdict[Labels, float](float)
                for labels, value in self._value(node.expr).items():
                    sums[frozenset(each for each in labels if each[0] in kept)] += value
                return dict(sums)
            case promql.BinaryExpr():
                return _joined(str(node.op), self._value(node.lhs), self._value(node.rhs))
        raise NotImplementedError(node.prettify())

    def _called(self, name: str, argument: Any = None) -> Vector:
        if name == "time":
            return {NONE: self.now}
        if name == "absent":
            return {} if self._value(argument) else {NONE: 1.0}
        before, after = (chosen(argument.vector_selector, scrape) for scrape in (self.before, self.after))
        grown = {labels: value - before[labels] for labels, value in after.items() if labels in before}
        if name == "increase":
            assert argument.vector_selector.name.endswith("_total"), "only counters increase"
            return grown
        assert name == "changes", name
        return {labels: float(change != 0) for labels, change in grown.items()}


def _joined(op: str, left: Vector, right: Vector) -> Vector:
    names = (left.keys() | right.keys()) - {NONE} or {NONE}
    pairs = {labels: (left.get(labels, left.get(NONE)), right.get(labels, right.get(NONE))) for labels in names}
    both = {labels: (a, b) for labels, (a, b) in pairs.items() if a is not None and b is not None}
    if op in _COMPARISONS:
        return {labels: a for labels, (a, b) in both.items() if _COMPARISONS[op](a, b)}
    return {labels: float(_OPERATORS[op](a, b)) for labels, (a, b) in both.items()}
