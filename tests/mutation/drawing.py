"""All mutants of modules, by mutmut's operators, and a sample of them that a seed draws.

mutmut makes the changes; how it runs them is not used. It leaves out decorated functions, since it
keeps all mutants in one file; here each is a file of its own, so that properties have theirs.
"""

import random
from collections.abc import Sequence
from pathlib import Path

import libcst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.file_mutation import (
    NEVER_MUTATE_FUNCTION_NAMES,
    Mutation,
    MutationVisitor,
)
from mutmut.mutation.mutators import mutation_operators
from mutmut.mutation.pragma_handling import IgnoredCode

from tests.mutation.mutant import Mutant


class _Visitor(MutationVisitor):
    def _skip_node_and_children(self, node: libcst.CSTNode) -> bool:
        if isinstance(node, libcst.FunctionDef) and node.decorators:
            return node.name.value in NEVER_MUTATE_FUNCTION_NAMES
        return bool(super()._skip_node_and_children(node))


def _parsed(root: Path, file: str) -> tuple[MetadataWrapper, list[Mutation]]:
    wrapper = MetadataWrapper(libcst.parse_module((root / file).read_text()))
    visitor = _Visitor(mutation_operators, IgnoredCode(set(), set(), set()))
    wrapper.visit(visitor)
    return wrapper, visitor.mutations


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


def at(root: Path, place: str) -> list[Mutant]:
    """All mutants of one line, which is written FILE:LINE."""
    file, _, line = place.partition(":")
    wrapper, mutations = _parsed(root, file)
    where = wrapper.resolve(PositionProvider)
    # A mutant is a whole file and takes long to make, so only those that may change the line are.
    near = [
        number
        for number, mutation in enumerate(mutations)
        if where[mutation.original_node].start.line
        <= int(line)
        <= where[mutation.original_node].end.line
    ]
    mutants = [_mutant(file, number, wrapper, mutations) for number in near]
    return [mutant for mutant in mutants if mutant.line == int(line)]


def _mutant(file: str, number: int, wrapper: MetadataWrapper, all_: Sequence[Mutation]) -> Mutant:
    module = wrapper.module
    changed = module.deep_replace(all_[number].original_node, all_[number].mutated_node)
    assert isinstance(changed, libcst.Module)
    return Mutant(file, number, *_first_difference(module.code, changed.code), changed.code)
