"""A queue of a message broker, through kombu: Redis, RabbitMQ and what else kombu speaks."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from vector_assets.errors import SourceError
from vector_assets.source.messages import Message
from vector_assets.source.secrets import without_secrets

try:
    import kombu
    from kombu.exceptions import OperationalError
except ModuleNotFoundError:
    raise SourceError("a broker needs kombu: pip install 'vector-assets[queue]'") from None

#: How long an empty queue is listened to before it counts as drained.
_PATIENCE = 1.0


class BrokerQueue:
    """Messages of one durable queue, unacknowledged until they are applied.

    What a consumer that died had taken comes again: at once from RabbitMQ, after ``redelivery`` seconds from Redis.
    """

    def __init__(self, url: str, queue: str, *, redelivery: int) -> None:
        """Connect. Raises SourceError where the broker cannot be reached."""
        self._url, self._name, self._redelivery = url, queue, redelivery
        self._taken: list[Any] = []
        try:
            named = kombu.Connection(url)
            self._errors = (*named.connection_errors, *named.channel_errors, OperationalError, OSError)
        except (KeyError, ImportError) as error:
            raise SourceError(
                f"queue {queue}: {without_secrets(str(error.args[0]), url)}; expected the URL of a broker or Postgres, "
                "such as redis://host/0, amqp://host or postgresql://host/database"
            ) from None
        with self._said():
            options = {"visibility_timeout": redelivery} if url.startswith(("redis", "sentinel")) else {}
            self._connection = kombu.Connection(url, transport_options=options, connect_timeout=10)
            self._connection.ensure_connection(max_retries=1, interval_start=0.1)
            self._channel = self._connection.channel()
            self._queue = kombu.Queue(queue, channel=self._channel, durable=True)
            self._queue.queue_declare()
            # Consumes until it is closed: redelivery is part of listening, plain getting does without it.
            self._consumer = kombu.Consumer(
                self._channel, [self._queue], on_message=self._taken.append, accept=None, auto_declare=False
            )

    def take(self, count: int) -> list[Message]:
        """Listen until ``count`` messages came, or none for a second."""
        with self._said():
            self._consumer.qos(prefetch_count=count)
            self._consumer.consume()
            waited = time.monotonic()
            while len(self._taken) < count and time.monotonic() - waited < _PATIENCE:
                before = len(self._taken)
                try:
                    self._connection.drain_events(timeout=_PATIENCE / 4)
                except TimeoutError:
                    continue
                if len(self._taken) > before:
                    waited = time.monotonic()
        return [Message(_text(taken.body), None, taken) for taken in self._taken[:count]]

    def acknowledge(self, messages: Sequence[Message]) -> None:
        """Tell the broker that these are done with."""
        with self._said():
            for message in messages:
                message.handle.ack()  # type: ignore[attr-defined]  # kombu's own message
        done = {id(message.handle) for message in messages}
        self._taken[:] = [taken for taken in self._taken if id(taken) not in done]

    def waiting(self) -> int:
        """Return how many messages wait; on Redis with those that a dead consumer had taken and that are due."""
        with self._said():
            declared = self._queue.queue_declare()
            due = 0
            if hasattr(self._channel, "unacked_index_key"):
                overdue = time.time() - self._redelivery
                due = int(self._channel.client.zcount(self._channel.unacked_index_key, 0, overdue))
        return int(declared.message_count) + due

    def close(self) -> None:
        """Give back what was taken and not acknowledged."""
        with self._said():
            self._connection.release()

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except self._errors as error:
            raise SourceError(
                f"queue {self._name}: the broker cannot be read: {without_secrets(str(error), self._url)}"
            ) from None


def _text(body: object) -> str:
    return bytes(body).decode(errors="replace") if isinstance(body, bytes | memoryview) else str(body)
