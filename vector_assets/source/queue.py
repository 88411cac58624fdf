"""Rows of a queue: messages read as changes of rows. Where they come from is a MessageQueue of its own file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from vector_assets.records import BadRow, Key, KeyColumn, RawRow, Value
from vector_assets.source.formats import bad_row, why_not_json
from vector_assets.source.keys import row_key
from vector_assets.source.messages import Message, MessageQueue, RowChange
from vector_assets.source.secrets import secret_url
from vector_assets.source.storable import is_storable
from vector_assets.source.values import WrongValue, convert, found
from vector_assets.spec.collection import Collection
from vector_assets.spec.source import QueueSource

_EXPECTED = "expected {op, id, fields…}"
_MOST = 2**63
#: Postgres cannot index much longer ones, and a message that cannot be stored must not come again for ever.
_LONGEST_KEY = 2_000
_POSTGRES = ("postgres://", "postgresql://", "postgresql+")


class QueueReader:
    """Reads the messages of a ``queue`` source.

    A message is a JSON object: ``op`` (upsert or delete), the id, and for an upsert the whole row: a field that is
    left out is null. A malformed one is a BadRow; it is acknowledged, and named among the failures.
    """

    def __init__(self, collection: Collection, source: QueueSource) -> None:
        self.source = source
        self._name = collection.name
        self._fields = collection.fields

    @property
    def key(self) -> tuple[KeyColumn, ...]:
        """One text column named by ``source.id``; whole numbers become text, as in JSONL."""
        return (KeyColumn(self.source.id, "text"),)

    def fingerprint(self) -> str:
        """A queue looks the same always: whether it has messages is asked of the queue."""
        return "queue"

    def rows(self) -> Iterator[RawRow | BadRow]:
        """No rows: messages are taken, not read."""
        return iter(())

    def open(self, own: str) -> MessageQueue:
        """Connect to the queue; ``own`` is the URL of our database. Raises SourceError."""
        url = own if self.source.url is None else secret_url(self.source.url, self._name)
        if url.startswith(_POSTGRES):
            from vector_assets.source.table_queue import TableQueue

            return TableQueue(url, self.source.queue)
        from vector_assets.source.broker import BrokerQueue

        return BrokerQueue(url, self.source.queue, redelivery=self.source.redelivery)

    def waiting(self, own: str) -> int:
        """Return how many messages wait, those of a consumer that died included."""
        queue = self.open(own)
        try:
            return queue.waiting()
        finally:
            queue.close()

    def parse(self, message: Message) -> RowChange | BadRow:
        """Return what a message does to which row."""
        body = message.body
        where = f"{self.source.queue} {hashlib.sha256(body.encode(errors='replace')).hexdigest()[:16]}"
        try:
            data = json.loads(body)
        except (ValueError, RecursionError) as error:
            return bad_row(where, f"not JSON ({why_not_json(error)}); {_EXPECTED}", body)
        if not isinstance(data, dict):
            return bad_row(where, f"found {found(data)}; {_EXPECTED}", body)
        key = _text_key(data.get(self.source.id))
        if key is None:
            said = f"{self.source.id} is {found(data.get(self.source.id))}"
            return bad_row(where, f"{said}; expected text of 1 to {_LONGEST_KEY} bytes or a whole number", body)
        try:
            sequence = self._sequence(data, message)
            return RowChange(key, self._row(data, key), sequence)
        except WrongValue as error:
            wrong = bad_row(row_key(key), str(error), body)
            return BadRow(wrong.where, wrong.error, wrong.content, key)

    def _sequence(self, data: dict[str, object], message: Message) -> int | None:
        name = self.source.sequence
        if name is None:
            return message.position
        value = data.get(name)
        if not isinstance(value, int) or isinstance(value, bool) or not -_MOST <= value < _MOST:
            raise WrongValue(f"{name}: expected a whole number of 64 bits, found {found(value)}")
        return value

    def _row(self, data: dict[str, object], key: Key) -> RawRow | None:
        op = data.get("op")
        if op == "delete":
            return None
        if op != "upsert":
            raise WrongValue(f"op: expected upsert or delete, found {found(op)}")
        values: list[Value] = []
        for name, kind in self._fields.items():
            try:
                values.append(convert(data.get(name), kind))
            except WrongValue as error:
                raise WrongValue(f"{name}: {error}") from None
        return RawRow(key, tuple(values))


def _text_key(value: object) -> Key | None:
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        return None
    text = str(value)
    return (text,) if is_storable(text) and len(text.encode()) <= _LONGEST_KEY else None
