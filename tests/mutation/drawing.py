"""All mutants of modules, by mutmut's operators, and a sample of them that a seed draws.

mutmut makes the changes; how it runs them is not used. It leaves out decorated functions, since it
keeps all mutants in one file; here each is a file of its own, so that properties have theirs.
"""

import ast
import random
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import libcst
from libcst.metadata import MetadataWrapper
from mutmut.mutation.file_mutation import (
    NEVER_MUTATE_FUNCTION_NAMES,
    Mutation,
    MutationVisitor,
)
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode


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


class _Visitor(MutationVisitor):
    def _skip_node_and_children(self, node: libcst.CSTNode) -> bool:
        if isinstance(node, libcst.FunctionDef) and node.decorators:
            return node.name.value in NEVER_MUTATE_FUNCTION_NAMES
        return bool(super()._skip_node_and_children(node))


def _parsed(root: Path, file: str) -> tuple[libcst.Module, list[Mutation]]:
    wrapper = MetadataWrapper(libcst.parse_module((root / file).read_text()))
    visitor = _Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
    wrapper.visit(visitor)
    return wrapper.module, visitor.mutations


def _first_difference(code: str, text: str) -> tuple[int, str, str]:
    """The number of the first line that differs, and how it was and is."""
    pairs = zip(code.splitlines(), text.splitlines(), strict=False)
    return next(
        (line, before.strip(), after.strip())
        for line, (before, after) in enumerate(pairs, 1)
        if before != after
    )


def drawn(root: Path, files: Sequence[str], seed: int, count: int) -> tuple[list[Mutant], int]:
    """So many mutants in the order in which they are drawn, and among how many."""
    parsed = {file: _parsed(root, file) for file in files}
    everything = [(file, number) for file in files for number in range(len(parsed[file][1]))]
    chosen = random.Random(seed).sample(everything, count)  # noqa: S311
    return [_mutant(file, number, *parsed[file]) for file, number in chosen], len(everything)


def _mutant(file: str, number: int, module: libcst.Module, all_: Sequence[Mutation]) -> Mutant:
    changed = module.deep_replace(all_[number].original_node, all_[number].mutated_node)
    assert isinstance(changed, libcst.Module)
    return Mutant(file, number, *_first_difference(module.code, changed.code), changed.code)


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
