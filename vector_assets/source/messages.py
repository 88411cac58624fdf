"""What a queue hands out, and what is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from vector_assets.records import Key, RawRow


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it was delivered: its text, its place in the queue where that orders it, and how to acknowledge."""

    body: str
    position: int | None
    handle: object


class MessageQueue(Protocol):
    """A queue that hands out each message at least once, until it is acknowledged."""

    def take(self, count: int) -> Sequence[Message]:
        """Return up to ``count`` messages in the order of the queue; none when it is empty."""
        ...

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Forget these messages for good."""
        ...

    def waiting(self) -> int:
        """Return how many messages could be taken now."""
        ...

    def close(self) -> None:
        """Let go of what was taken and not acknowledged."""
        ...


@dataclass(frozen=True, slots=True)
class RowChange:
    """What a message does to a row: ``row`` as it is now, or None for one that left. The highest sequence wins."""

    key: Key
    row: RawRow | None
    sequence: int | None
