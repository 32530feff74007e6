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
    return {
        labels: value
        for labels, value in scrape.get(selector.name, {}).items()
        if all(_matches(matcher, dict(labels)) for matcher in selector.matchers.matchers)
    }


def _matches(matcher: Any, labels: dict[str, str]) -> bool:
    value = labels.get(matcher.name, "")
    if matcher.op == promql.MatchOp.Equal:
        return bool(value == matcher.value)
    assert matcher.op == promql.MatchOp.Re
    return re.fullmatch(matcher.value, value) is not None


@dataclass(frozen=True)
class Prometheus:
    """Two scrapes: one at the beginning of each range, one now."""

    before: dict[str, Vector]
    after: dict[str, Vector]
    now: float

    def answer(self, query: str) -> Vector:
        """What a query gives; a number stands without labels."""
        found = self._value(promql.parse(query))
        return found if isinstance(found, dict) else {frozenset(): found}

    def _value(self, node: Any) -> Vector | float:
        match node:
            case promql.NumberLiteral():
                return float(node.val)
            case promql.ParenExpr():
                return self._value(node.expr)
            case promql.VectorSelector():
                return chosen(node, self.after)
            case promql.Call():
                return self._called(node.func.name, node.args)
            case promql.AggregateExpr():
                return self._summed(node)
            case promql.BinaryExpr():
                return _joined(str(node.op), self._value(node.lhs), self._value(node.rhs))
        raise NotImplementedError(node.prettify())

    def _called(self, name: str, arguments: Any) -> Vector | float:
        if name == "time":
            return self.now
        (argument,) = arguments
        if name == "absent":
            return {} if self._value(argument) else {frozenset(): 1.0}
        before, after = (chosen(argument.vector_selector, scrape) for scrape in (self.before, self.after))
        grown = {labels: value - before[labels] for labels, value in after.items() if labels in before}
        if name == "increase":
            assert argument.vector_selector.name.endswith("_total"), "only counters increase"
            return grown
        assert name == "changes", name
        return {labels: float(change != 0) for labels, change in grown.items()}

    def _summed(self, node: Any) -> Vector:
        assert str(node.op) == "sum"
        kept = set(node.modifier.labels) if node.modifier else set()
        sums: Vector = defaultdict(float)
        found = self._value(node.expr)
        assert isinstance(found, dict)
        for labels, value in found.items():
            sums[frozenset(each for each in labels if each[0] in kept)] += value
        return dict(sums)


def _joined(op: str, left: Vector | float, right: Vector | float) -> Vector | float:
    if op in _COMPARISONS:
        assert isinstance(left, dict)
        assert isinstance(right, float)
        return {labels: value for labels, value in left.items() if _COMPARISONS[op](value, right)}
    if isinstance(left, float) and isinstance(right, float):
        return float(_OPERATORS[op](left, right))
    names = left.keys() if isinstance(left, dict) else right.keys() if isinstance(right, dict) else ()
    return {
        labels: float(_OPERATORS[op](_at(left, labels), _at(right, labels)))
        for labels in names
        if not isinstance(right, dict) or labels in right
    }


def _at(value: Vector | float, labels: Labels) -> float:
    return value[labels] if isinstance(value, dict) else value
