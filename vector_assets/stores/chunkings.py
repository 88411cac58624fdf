"""The comparison of chunkings against the stores: once per rows, questions and encoder, and kept as a file."""

from __future__ import annotations

import csv
import hashlib
import heapq
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vector_assets.embedding.layout import rule_of
from vector_assets.errors import NotFound
from vector_assets.index.chunkings import METRICS, Progress, Row, Way, WayFound, compare_chunkings
from vector_assets.records import JudgedQuery
from vector_assets.spec import Chunking, Collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.json_files import read_json, write_json
from vector_assets.stores.row_texts import row_keys, values_of
from vector_assets.stores.run_pages import DAGSTER_RUN, DAGSTER_URL, NOTE
from vector_assets.stores.tracked_run import TrackedRun

CODE_VERSION = "1"
#: How the space's own chunking is called in the table; it comes first.
DECLARED = "declared"


@dataclass(frozen=True, slots=True)
class ChunkingsFound:
    """A comparison, made now or known. ``rows`` of ``of`` were looked at; ``metric`` is what is tested."""

    key: str
    ways: tuple[WayFound, ...]
    rules: Mapping[str, str]
    space: str
    metric: str
    queries: int
    rows: int
    of: int
    measured_now: bool
    run_id: str
    experiment: str

    def lines(self) -> list[dict[str, str | int | float]]:
        """A line per chunking, in declared order."""
        return [self._line(way) for way in self.ways]

    @property
    def said(self) -> str:
        """The best and the declared one in a sentence, and whether their difference may be chance."""
        declared, best = self.ways[0], max(self.ways, key=lambda way: way.scores[self.metric])
        line = f"{self.metric} {best.scores[self.metric]:.4f} by {best.name}, "
        if best.against is None:
            return line + "which is declared"
        line += f"{declared.scores[self.metric]:.4f} as declared (p {best.against.p:.2g})"
        return line + (": the difference may be chance" if best.against.low <= 0 else "")

    def _line(self, way: WayFound) -> dict[str, str | int | float]:
        line: dict[str, str | int | float] = {"chunking": way.name, "rule": self.rules[way.name]}
        for metric in dict.fromkeys((*METRICS, self.metric)):
            low, high = way.intervals[metric]
            line[metric] = f"{way.scores[metric]:.4f} ({low:.3f} to {high:.3f})"
        against = way.against
        line["difference"] = f"{against.difference:+.4f} ({against.low:+.3f} to {against.high:+.3f})" if against else ""
        line["p"] = f"{against.p:.2g}" if against else ""
        share = 100 * way.truncated / max(way.chunks - way.failed, 1)
        return line | {
            "chunks": way.chunks, "truncated": f"{share:.1f} %", "failed": way.failed, "seconds": round(way.seconds, 1)
        }  # fmt: skip


def settle_chunkings(
    store: CollectionStore, *, tags: Mapping[str, str], progress: Progress | None = None
) -> ChunkingsFound:
    """Return the comparison of the declared chunkings: known by its content, or measured now.

    Each is asked the collection's judged questions, of the vectors of one space alone, by exact search; the encoder is
    that of the live generation. Vectors are held in memory and not stored. Raises NotFound before something is live,
    and without questions.
    """
    collection = store.collection
    declared, space = collection.evaluation, collection.chunked_space
    if declared is None or not declared.chunkings or space is None:
        raise NotFound(f"collection {collection.name} declares no evaluation.chunkings; expected some by name")
    live = store.workspace.generations.live(collection.name)
    if live is None or space not in live.checkpoints:
        raise NotFound(f"collection {collection.name} has no live generation with space {space}; materialize it first")
    judged = store.judged()
    if not judged:
        raise NotFound(f"collection {collection.name} has no judged queries; declare evaluation.queries and qrels")
    chunkings = {DECLARED: collection.spaces[space].chunk, **declared.chunkings}
    ways = [Way(name, rule_of(each), each.best) for name, each in chunkings.items()]
    rows, of = _rows(store, space, judged, declared.chunking_rows)
    if not rows:
        raise NotFound(f"collection {collection.name} has no rows to cut")
    key = _key(live.checkpoints[space], ways, judged, rows, store.metric)
    path = Path(store.workspace.artifacts) / "chunkings" / collection.name / f"{key}.json"
    known = read_json(path)
    now = not known
    if now:
        encoder = store.encoders(live)()[space]
        experiment = f"{collection.name}/chunkings"
        store.workspace.tracking.end_lost(experiment)
        page = _page(tags, collection, space, live.checkpoints[space])
        with store.workspace.tracking.run(experiment, f"chunkings {key[:8]}", tags=page) as run:
            found = compare_chunkings(
                rows, ways, judged, encoder, space=space, metric=store.metric, progress=progress
            )  # fmt: skip
            known = {
                "ways": [way.record() for way in found],
                "rules": {name: _rule(each) for name, each in chunkings.items()},
                "space": space, "metric": store.metric, "queries": len(judged), "rows": len(rows), "of": of,
            }  # fmt: skip
            known |= {"run_id": run.run_id, "experiment": run.experiment_id}
            _log(run, _found(key, known, now=True))
        write_json(path, known)
    return _found(key, known, now=now)


def _rows(store: CollectionStore, space: str, judged: Sequence[JudgedQuery], limit: int) -> tuple[list[Row], int]:
    """Return all rows, or the judged ones and others by the hash of their key, in order; and how many there are."""
    database, relation = store.workspace.database, store.relation
    wanted = {key for query in judged for key in (*query.relevant, *(query.among or ()))}
    seen = 0

    def others() -> Iterator[tuple[bytes, str]]:
        nonlocal seen
        for name in row_keys(database, relation):
            seen += 1
            if name not in wanted:
                yield hashlib.sha256(name.encode()).digest(), name

    drawn = [name for _, name in heapq.nsmallest(max(0, limit - len(wanted)), others())]
    fields = store.collection.spaces[space].fields
    values = values_of(database, relation, [*wanted, *drawn], fields)
    return [(tuple(json.loads(name)), values[name]) for name in sorted(values)], seen


def _key(checkpoint: str, ways: Sequence[Way], judged: Sequence[JudgedQuery], rows: Sequence[Row], metric: str) -> str:
    """Digest of all that the comparison depends on."""
    total = hashlib.sha256()
    meant = [(way.name, way.rule.meaning() if way.rule else None, way.top) for way in ways]
    for part in (CODE_VERSION, checkpoint, json.dumps(meant), metric):
        total.update(part.encode() + b"\0")
    for query in judged:
        asked = [query.id, query.text, sorted(query.relevant.items()), sorted(query.among or ()), query.own]
        total.update(json.dumps(asked).encode())
    for key, values in rows:
        total.update(json.dumps([key, [str(value) for value in values]]).encode())
    return total.hexdigest()


def _rule(chunk: Chunking) -> str:
    """Say a chunking as it is declared, with what was left out filled in."""
    if chunk.by == "none":
        return "whole rows"
    words = [chunk.by, f"size {chunk.limit}"]
    if chunk.by == "window":
        words.append(f"sentences {chunk.window}, stride {chunk.step}")
    if chunk.splitter == "spacy":
        words.append(f"splitter spacy, language {chunk.language}")
    if chunk.overlap:
        words.append(f"overlap {chunk.overlap}")
    return ", ".join([*words, *([f"mean of {chunk.best}"] if chunk.best > 1 else [])])


def _found(key: str, known: Mapping[str, Any], *, now: bool) -> ChunkingsFound:
    ways = tuple(WayFound.of(way) for way in known["ways"])
    return ChunkingsFound(
        key, ways, measured_now=now, **{name: value for name, value in known.items() if name != "ways"}
    )


def _log(run: TrackedRun, found: ChunkingsFound) -> None:
    run.params({"space": found.space, "queries": found.queries, "rows": found.rows, **found.rules})
    for way in found.ways:
        values = {metric.replace("@", "_at_"): value for metric, value in way.scores.items()}
        values |= {"chunks": way.chunks, "truncated": way.truncated, "seconds": way.seconds}
        run.metrics({f"{way.name}/{name}": value for name, value in values.items()}, step=0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chunkings.csv"
        lines = found.lines()
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(lines[0]))
            writer.writeheader()
            writer.writerows(lines)
        run.artifact(path)


def _page(tags: Mapping[str, str], collection: Collection, space: str, checkpoint: str) -> dict[str, str]:
    note = f"Ways of cutting the texts of space `{space}` of collection `{collection.name}`, on its judged questions"
    if DAGSTER_URL in tags:
        note += f", asked for by [Dagster run {tags.get(DAGSTER_RUN, '').partition('-')[0]}]({tags[DAGSTER_URL]})"
    return {**tags, "checkpoint": checkpoint, NOTE: f"{note}."}
