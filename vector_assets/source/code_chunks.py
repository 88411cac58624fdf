"""Code in pieces of its syntax tree: functions and classes whole, what stands between them together."""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from vector_assets.source.cutting import cut_to_size, lines, without_space
from vector_assets.source.sentences import Span

# Longer texts are no files that people write, and their trees take a hundred times as much memory.
_LONGEST = 1_000_000


@dataclass(frozen=True, slots=True)
class Block:
    """A statement with the comments above it, in whole lines; ``alone`` when it is a chunk by itself."""

    start: int
    stop: int
    alone: bool
    inner: tuple[Block, ...] = ()  # what it is cut into when it is too long


def code_chunks(text: str, start: int, stop: int, size: int, language: str) -> list[Span] | None:
    """Return the chunks of ``text[start:stop]``, none longer than ``size``; None where it cannot be parsed.

    A function or class is a chunk when it is no longer; else its head, its statements and its methods are. Other
    statements go together up to the size. What is too long without a statement inside is cut between lines.
    """
    assert language == "python", "refused where it is declared"
    try:
        blocks = _python_blocks(text, start, stop)
    # What the parser says of a text that is no Python, of null bytes and surrogates, and of one nested too deep.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return None if blocks is None else list(_spans(text, blocks, size))


def _spans(text: str, blocks: Sequence[Block], size: int) -> Iterator[Span]:
    held: Span | None = None
    for span in _fine(text, blocks, size):
        if held and span and span[1] - held[0] <= size:
            held = held[0], span[1]
            continue
        if held:
            yield held
        held = span
    if held:
        yield held


def _fine(text: str, blocks: Sequence[Block], size: int) -> Iterator[Span | None]:
    """Yield the largest blocks that fit, and of others without an inner one their lines; in order.

    None stands on both sides of a function or class: nothing goes together across.
    """
    waiting: list[Block | None] = list(reversed(blocks))
    while waiting:
        block = waiting.pop()
        if block is None:
            yield None
            continue
        spans = list(without_space(text, block.start, block.stop))
        if not spans:
            continue
        ((first, last),) = spans
        if block.alone:
            yield None
            waiting.append(None)
        if last - first <= size:
            yield first, last
        elif block.inner:
            waiting += reversed(block.inner)
        else:
            for line in lines(text, first, last):
                for begun, end in without_space(text, *line):
                    yield from cut_to_size(text, begun, end, size)


def _python_blocks(text: str, start: int, stop: int) -> list[Block] | None:
    if stop - start > _LONGEST:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of invalid escapes in what people wrote
        tree = ast.parse(text[start:stop])
    edges = [first for first, _ in lines(text, start, stop)] + [stop]
    return _below(tree, start, stop, edges)


def _below(node: ast.AST, start: int, stop: int, edges: Sequence[int]) -> list[Block]:
    """Return blocks that together are ``[start, stop)``: what is before the first statement, and each statement."""
    found: list[tuple[int, ast.stmt | None]] = [(start, None)]
    ended = start
    for statement in _statements(node):
        first = min([statement.lineno, *(each.lineno for each in getattr(statement, "decorator_list", []))])
        begun = max(ended, start)
        if edges[first - 1] < begun:  # on the line that the one before ends on
            ended = max(ended, edges[statement.end_lineno or first])
            continue
        if isinstance(node, ast.Module) or len(found) > 1:
            found.append((begun, statement))  # with the comments above it
        else:
            found.append((edges[first - 1], statement))
        ended = edges[statement.end_lineno or first]
    blocks = []
    for (begun, here), (end, _) in pairwise([*found, (stop, None)]):
        if here is None:
            if begun < end:
                blocks.append(Block(begun, end, alone=False))
            continue
        inner = _below(here, begun, end, edges) if any(True for _ in _statements(here)) else []
        alone = isinstance(here, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        blocks.append(Block(begun, end, alone, tuple(inner) if len(inner) > 1 else ()))
    return blocks


def _statements(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements right below a node, those of all its branches, in order of their lines."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            yield child
        elif isinstance(child, ast.ExceptHandler | ast.match_case):
            yield from child.body
