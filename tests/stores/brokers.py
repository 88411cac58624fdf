"""Queues of each kind as the tests use them: a table in Postgres, Redis, a fake."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

from fakes import Declare, Execute

from vector_assets.source.messages import Message, MessageQueue
from vector_assets.source.open import open_source
from vector_assets.source.queue import QueueReader
from vector_assets.spec import Collection
from vector_assets.stores.raw_write import RawSync
from vector_assets.stores.workspace import Workspace


def upsert(key: object, title: object, **more: object) -> dict[str, object]:
    return {"op": "upsert", "id": key, "title": title, **more}


def delete(key: object, **more: object) -> dict[str, object]:
    return {"op": "delete", "id": key, **more}


@dataclass
class FakeBroker:
    """What a Kafka or SQS adapter has to do: hand out until acknowledged."""

    messages: list[str] = field(default_factory=list)
    acknowledged: int = 0

    def take(self, count: int) -> Sequence[Message]:
        return [Message(body, None, place) for place, body in enumerate(self.messages[:count])]

    def acknowledge(self, messages: Sequence[Message]) -> None:
        self.acknowledged += len(messages)
        del self.messages[: len(messages)]

    def waiting(self) -> int:
        return len(self.messages)

    def close(self) -> None:
        return


class Broker:
    """A queue of some kind, and what a test does with it."""

    def __init__(self, workspace: Workspace, collection: Collection, execute: Execute) -> None:
        self.workspace, self.collection, self.execute = workspace, collection, execute

    def send(self, *messages: object) -> None:
        raise NotImplementedError

    def reader(self) -> QueueReader:
        reader = open_source(self.collection)
        assert isinstance(reader, QueueReader)
        return reader

    def drain(self) -> RawSync:
        return self.workspace.raw.sync(self.collection, self.reader())

    def waiting(self) -> int:
        return self.reader().waiting(self.workspace.database.url.libpq)

    def rows(self) -> dict[object, object]:
        return dict(self.execute(f"select id, title from raw.{self.collection.name} order by id"))  # type: ignore[arg-type]


class TableBroker(Broker):
    def send(self, *messages: object) -> None:
        for message in messages:
            self.execute(
                f"insert into {self.collection.name}_inbox (message) values (%s)",
                (message if isinstance(message, str) else json.dumps(message),),
            )


class InMemory(Broker):
    def __init__(self, workspace: Workspace, collection: Collection, execute: Execute) -> None:
        super().__init__(workspace, collection, execute)
        self.fake = FakeBroker()

    def send(self, *messages: object) -> None:
        self.fake.messages += [m if isinstance(m, str) else json.dumps(m) for m in messages]

    def reader(self) -> QueueReader:
        fake = self.fake

        class Reader(QueueReader):
            def open(self, own: str) -> MessageQueue:
                return fake

        return Reader(self.collection, self.collection.source)  # type: ignore[arg-type]


class RedisBroker(Broker):
    url = ""

    def send(self, *messages: object) -> None:
        import kombu

        with kombu.Connection(self.url) as connection, connection.SimpleQueue(self.collection.source.queue) as queue:  # type: ignore[union-attr]
            for message in messages:
                if isinstance(message, str):
                    queue.put(message, content_type="text/plain", serializer="raw")
                else:
                    queue.put(message, serializer="json")


def declared(declare: Declare, name: str, **source: object) -> Collection:
    return declare(
        source={"kind": "queue", "queue": f"{name}_inbox", **source},
        fields={"title": "text", "price": "number"},
        spaces={"text": {"fields": ["title"]}},
    )
