"""``corpus_drift`` and ``query_drift`` on ``index/<collection>``: do rows and questions still look as in the training?

Both warn and never block. They run with each run of the asset and by their buttons; what was measured within the
declared ``every`` is told again. With ``retrain: true`` a condition asks for a new training when one has tripped, or
when the encoder does not give its canaries any more (``canaries`` on ``candidate/<collection>``, which blocks).
"""

import json
from datetime import datetime
from pathlib import Path

import dagster as dg

from vector_assets.assets.keys import key
from vector_assets.assets.metadata import Metadata, numbers, table
from vector_assets.assets.pictures import picture
from vector_assets.assets.resources import WORKSPACE, WorkspaceResource
from vector_assets.spec import Collection, Drift
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.drift import cooldown_of, measure_drift, retraining_due
from vector_assets.stores.drift_found import Found, Kind
from vector_assets.stores.query_log import QueryLog

#: Runs that a condition asked for carry it. The only condition of a training set is the one below.
FROM_CONDITION = "dagster/from_automation_condition"
_CHECKS: tuple[tuple[str, Kind, str], ...] = (
    (
        "corpus_drift",
        "corpus",
        "Rows that came or changed look like those that the encoder was trained on, or first used on: a classifier "
        "cannot tell them apart (held-out AUC at most {corpus}). It warns and never blocks.",
    ),
    (
        "query_drift",
        "queries",
        "Questions asked lately look like those of the training or evaluation: a classifier cannot tell them apart "
        "(held-out AUC at most {queries}). It warns and never blocks.",
    ),
)


def build_drift(collection: Collection, declared: Drift) -> list[dg.AssetChecksDefinition]:
    """Return the two checks of a declared ``drift``."""
    bounds = {"corpus": declared.corpus, "queries": declared.queries}
    return [_check(collection, name, kind, said.format(**bounds)) for name, kind, said in _CHECKS]


def _check(collection: Collection, name: str, kind: Kind, said: str) -> dg.AssetChecksDefinition:
    @dg.asset_check(asset=key("index", collection), name=name, blocking=False, description=said, pool="encoder")
    def check(context: dg.AssetCheckExecutionContext, workspace: WorkspaceResource) -> dg.AssetCheckResult:
        store = CollectionStore(workspace.open(), collection)
        recent = QueryLog(store.workspace.database)
        found = measure_drift(store, kind, recent=recent, log=context.log.info)
        return dg.AssetCheckResult(
            passed=not any(each.tripped for each in found),
            severity=dg.AssetCheckSeverity.WARN,
            description="; ".join(each.summary for each in found) or "nothing is live yet",
            metadata=_metadata(found),
        )

    return check


def _metadata(found: tuple[Found, ...]) -> Metadata:
    """The worst space in numbers and as a picture, all of them as a table."""
    if not found:
        return {}
    worst = max(found, key=lambda each: each.auc)
    metadata = numbers({"auc": worst.auc, "bound": worst.bound})
    if worst.low is not None and worst.high is not None and worst.p is not None:
        metadata |= numbers({"low": worst.low, "high": worst.high, "p": worst.p})
    metadata |= numbers({"reference": worst.reference, "current": worst.current, "seconds": worst.seconds})
    metadata["measured_now"] = dg.MetadataValue.bool(worst.now)
    metadata["measured_at"] = dg.MetadataValue.timestamp(worst.measured_at)
    metadata["spaces"] = table(
        [{"space": e.space, "auc": round(e.auc, 4), "low": e.low, "high": e.high, "tripped": e.tripped} for e in found]
    )
    if worst.picture and Path(worst.picture).is_file():
        metadata["scores"] = picture(Path(worst.picture))
    return metadata


class DriftTripped(dg.AutomationCondition[dg.AssetKey]):
    """True when drift of a space tripped, or its canaries moved, after its training set was last drawn.

    Once per cooldown. Canaries are those of the candidate's check, and of any stage that loads the encoder.

    The drawing is what ends it: a training set drawn after the measurement answers it. A request whose run failed is
    remembered in the cursor, so that it is not asked for again at each tick.
    """

    def __init__(self, collection: Collection, space: str) -> None:
        """Keep whose drift it is."""
        self._collection = collection
        self._space = space

    @property
    def name(self) -> str:
        """The word for it in the tree of conditions that Dagster shows."""
        return "drift_tripped"

    @property
    def description(self) -> str:
        """What it says there."""
        return "Rows or questions have drifted, or canaries have moved, since the training set was drawn"

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Look. Its cursor is when it last asked; it must stand last in its condition, to ask when it is true."""
        nothing = dg.AutomationResult(context, context.get_empty_subset(), cursor=context.cursor)
        declared = self._collection.drift
        if declared is None or context.candidate_subset.is_empty:
            return nothing
        now = context.evaluation_time
        if context.cursor and now - datetime.fromisoformat(json.loads(context.cursor)["asked"]) < cooldown_of(declared):
            return nothing
        due = retraining_due(WORKSPACE.open().database, self._collection, self._space, now=now)
        if due is None:
            return nothing
        cursor = json.dumps({"asked": now.isoformat(), "why": due.why})
        return dg.AutomationResult(context, context.candidate_subset, cursor=cursor)


def when_drifted(collection: Collection, space: str) -> dg.AutomationCondition | None:  # type: ignore[type-arg]
    """Return the condition of a training set that is to be drawn anew by drift; None where that is not declared."""
    if collection.drift is None or not collection.drift.retrain:
        return None
    condition = dg.AutomationCondition
    return (~condition.any_deps_in_progress() & ~condition.in_progress() & DriftTripped(collection, space)).with_label(
        "rows or questions drifted since it was drawn"
    )


def when_drawn_anew(collection: Collection) -> dg.AutomationCondition | None:  # type: ignore[type-arg]
    """Return the condition of an encoder that follows; None where drift asks for nothing."""
    if collection.drift is None or not collection.drift.retrain:
        return None
    condition = dg.AutomationCondition
    return (~condition.in_progress() & condition.any_deps_match(condition.will_be_requested())).with_label(
        "its training set is drawn anew because of drift"
    )
