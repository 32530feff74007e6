"""A small change of a file, and the statement that it is in."""

import ast
from typing import NamedTuple


class Mutant(NamedTuple):
    """One change of one file."""

    file: str
    number: int
    """Among the mutants of the file."""
    line: int
    before: str
    after: str
    text: str
    """Of the whole file."""


def statement_at(code: str, line: int) -> range | None:
    """The lines of the innermost statement there; None if it runs when the module is imported."""
    tree = ast.parse(code)
    functions = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and _has(node.body[0].lineno, node, line)
    ]
    if not functions:
        return None
    statements = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and _has(node.lineno, node, line)
    ]
    innermost = max(statements, key=lambda node: node.lineno)
    return range(innermost.lineno, (innermost.end_lineno or line) + 1)


def _has(first: int, node: ast.stmt, line: int) -> bool:
    return first <= line <= (node.end_lineno or first)
