"""Where a collection stands: rows, vectors, generation, recall, decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from vector_assets.errors import NotFound
from vector_assets.index.partial_proposals import Proposal
from vector_assets.spec import Collection
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.freshness import waited
from vector_assets.stores.partial_proposals import partial_proposals
from vector_assets.stores.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Status:
    """One collection. None is what cannot be known yet, never zero."""

    rows: int | None
    embedded: int | None
    pending: int | None
    failed: int
    stale: int | None
    oldest_pending_s: float | None
    generation: int | None
    checkpoints: Mapping[str, str]
    recall: float | None
    worst_recall: float | None
    coverage: float | None
    decision: str | None
    reason: str | None
    index: str | None = None  # its kind
    index_bytes: int | None = None
    index_dead: float | None = None  # of the table's tuples
    index_changed: float | None = None  # rows since it was built, of those that it was built over
    index_worn: str | None = None  # why maintenance will build it anew; None where it need not
    partial: tuple[Mapping[str, object], ...] = ()  # what is known of each partial index, as it was last measured
    partial_proposed: tuple[Proposal, ...] = ()  # values for which one would pay
    truncated: int | None = None  # vectors of texts that were cut off at the encoder's limit, when last measured


def collection_status(workspace: Workspace, collection: Collection) -> Status:
    """Count source against the live generation, and read what was measured of it."""
    store = CollectionStore(workspace, collection)
    failed = workspace.failures.count(collection.name)
    try:
        rows = workspace.raw.count(collection)
    except NotFound:
        return Status(None, None, None, failed, None, None, None, {}, None, None, None, None, None)
    generations = store.all()
    live = next((g for g in generations if g.state == "live"), None)
    newest = next((g for g in generations if g.state in ("building", "candidate", "live")), None)
    decided = workspace.generations.decided(newest) if newest else {}
    decision = cast(str | None, decided.get("decision"))
    reason = cast(str | None, decided.get("reason"))
    if live is None:
        return Status(rows, 0, rows, failed, 0, None, None, {}, None, None, 0.0 if rows else None, decision, reason)
    counted = workspace.embeddings.coverage(live, store.relation)
    health = workspace.indexes.health(live)
    measures = workspace.generations.measures(live)
    recalls = cast(list[dict[str, float]], measures.get("recalls", []))
    return Status(
        rows=rows,
        embedded=counted.embedded,
        pending=counted.pending,
        failed=failed,
        stale=counted.stale,
        oldest_pending_s=waited(store, live, counted.pending),
        generation=live.number,
        checkpoints=live.checkpoints,
        recall=recalls[-1]["mean"] if recalls else None,
        worst_recall=recalls[-1]["worst"] if recalls else None,
        coverage=counted.share,
        decision=decision,
        reason=reason,
        index=live.index_kind,
        index_bytes=health.bytes,
        index_dead=health.dead,
        index_changed=health.changed,
        index_worn=health.worn,
        partial=tuple(cast(list[Mapping[str, object]], measures.get("partial") or [])),
        partial_proposed=partial_proposals(workspace.database, collection, store.relation, live),
        truncated=cast(dict[str, int], measures.get("index", {})).get("truncated"),
    )
