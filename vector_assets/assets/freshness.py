"""``freshness`` on ``embeddings/<collection>``: red while a row has waited longer than declared, and green again.

The check runs with each run of the asset and by its button. Between runs a sensor looks and reports the same result
by itself: no run is launched for it.
"""

import json
import time

import dagster as dg

from vector_assets.assets.keys import key
from vector_assets.assets.metadata import Metadata, numbers
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.spec import Collection
from vector_assets.spec.freshness import as_timedelta
from vector_assets.stores.freshness import Freshness, look

CHECK = "freshness"
# What has not changed is told again after so many seconds, so that the page shows a recent number.
_REPEAT_SECONDS = 1800.0


def build_freshness(collection: Collection, slo: str) -> tuple[dg.AssetChecksDefinition, dg.SensorDefinition]:
    """Return the check of a declared ``freshness`` and the sensor that keeps it up to date."""
    asset = key("embeddings", collection)
    allowed = as_timedelta(slo).total_seconds()
    said = (
        f"No row waits longer than {slo} for its vector. It never blocks: what is searched stays as it is. "
        "When it is red, materialize this asset: its rows are brought up to date."
    )

    @dg.asset_check(asset=asset, name=CHECK, blocking=False, description=said)
    def freshness(workspace: WorkspaceResource) -> dg.AssetCheckResult:
        found = look(workspace.open(), collection)
        return dg.AssetCheckResult(
            passed=_passed(found, allowed), severity=dg.AssetCheckSeverity.ERROR,
            description=_summary(found, slo), metadata=_metadata(found, allowed),
        )  # fmt: skip

    @dg.sensor(
        name=f"{collection.name}_freshness",
        minimum_interval_seconds=int(min(max(allowed / 5, 30), 600)),
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Looks whether rows of {collection.name} wait longer than {slo}; reports the check, runs nothing.",
    )
    def freshness_sensor(
        context: dg.SensorEvaluationContext, workspace: WorkspaceResource
    ) -> dg.SensorResult | dg.SkipReason:
        found = look(workspace.open(), collection)
        passed = _passed(found, allowed)
        now = time.time()
        latest = context.instance.get_latest_materialization_event(asset)
        if not _is_news(context.cursor, passed=passed, now=now, materialized=latest.timestamp if latest else 0.0):
            return dg.SkipReason(f"as before: {_summary(found, slo)}")
        evaluation = dg.AssetCheckEvaluation(
            asset_key=asset, check_name=CHECK, passed=passed, severity=dg.AssetCheckSeverity.ERROR,
            description=_summary(found, slo), metadata=_metadata(found, allowed), blocking=False,
        )  # fmt: skip
        return dg.SensorResult(asset_events=[evaluation], cursor=json.dumps({"passed": passed, "at": now}))

    return freshness, freshness_sensor


def _passed(found: Freshness, allowed: float) -> bool:
    return found.oldest_pending_s is None or found.oldest_pending_s <= allowed


def _summary(found: Freshness, slo: str) -> str:
    if found.generation is None:
        return "no generation yet, so nothing is promised"
    if found.oldest_pending_s is None:
        return "no row waits"
    rows = "1 row waits" if found.pending == 1 else f"{found.pending:,} rows wait"
    return f"{rows}, the oldest for at most {found.oldest_pending_s:,.0f} s; {slo} is allowed"


def _metadata(found: Freshness, allowed: float) -> Metadata:
    return numbers(
        {
            "oldest_pending_s": round(found.oldest_pending_s or 0.0, 1),
            "allowed_s": allowed,
            "pending": found.pending,
            "failed": found.failed,
            "stale": found.stale,
        }
    )


def _is_news(cursor: str | None, *, passed: bool, now: float, materialized: float) -> bool:
    """Tell whether a result is worth an event: another one, an old one, or one of before the last materialization."""
    if not cursor:
        return True
    known = json.loads(cursor)
    return bool(known["passed"] != passed or now - known["at"] > _REPEAT_SECONDS or materialized > known["at"])
