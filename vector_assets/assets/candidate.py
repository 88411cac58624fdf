"""``candidate/<collection>``: an indexed, measured generation and the gate's decision on it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import dagster as dg

from vector_assets.assets.conditions import when_inputs_change
from vector_assets.assets.evaluating import generation_metadata
from vector_assets.assets.keys import key, owners
from vector_assets.assets.metadata import comparison_table, dagster_tags, numbers, table
from vector_assets.assets.resources import WorkspaceResource
from vector_assets.index.integrity import CHECKS
from vector_assets.spec import Collection
from vector_assets.stores.calibrations import calibrate_vectors
from vector_assets.stores.candidate_runs import log_generation, logged
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.measured import Measured
from vector_assets.stores.measuring import measure_newest

CODE_VERSION = "1"
_ASKED = {
    "coverage": "Every row of the source is embedded, empty or set aside by name; no vector without its row.",
    "dims_and_norm": "Vectors have the declared width and length 1.",
    "canaries": "The encoder still gives the vectors it gave when it was stored, in bulk and for questions.",
    "recall": "The index finds what an exact scan finds, as often as declared.",
}
_QUALITY = (
    "The score on judged queries is above the declared floor and not far below what live scored before. It does not "
    "block: what goes live is decided by comparison."
)


class CandidateConfig(dg.Config):
    """What a run of the candidate does beside measuring."""

    maintenance: bool = False
    """Remove dead tuples and measure again, even when nothing changed."""


def build_candidate(collection: Collection) -> dg.AssetsDefinition:
    """Return the asset with its blocking integrity checks; quality is recorded, it does not block."""
    own = key("candidate", collection)

    @dg.asset(
        key=own,
        deps=[key("embeddings", collection)],
        group_name=collection.name,
        kinds={"postgres", collection.index.type},
        owners=owners(collection),
        code_version=CODE_VERSION,
        automation_condition=when_inputs_change(),
        check_specs=[
            *(dg.AssetCheckSpec(name, asset=own, blocking=True, description=_ASKED[name]) for name in CHECKS),
            dg.AssetCheckSpec("quality", asset=own, description=_QUALITY),
        ],
        description=(
            "The newest generation with its index, measured: recall against an exact scan, integrity, and quality "
            "against live and BM25 on held-out queries. Decision: promote, keep or needs_evaluation."
        ),
    )
    def candidate(
        context: dg.AssetExecutionContext, config: CandidateConfig, workspace: WorkspaceResource
    ) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:  # type: ignore[type-arg]
        store = CollectionStore(workspace.open(), collection)
        measured = measure_newest(store, maintenance=config.maintenance, log=context.log.info)
        learned = measured.sound and calibrate_vectors(
            store, measured.generation, context.log.info, anew=config.maintenance
        )
        deciding = measured.now and measured.generation.state != "live"
        told = logged(store, measured.generation)
        if told is None or learned or deciding or config.maintenance:
            told = log_generation(store, measured.generation, tags=dagster_tags(context))
        yield dg.MaterializeResult(
            data_version=dg.DataVersion(measured.version),
            metadata=_metadata(collection, measured) | generation_metadata(store, measured.generation, told),
            check_results=[
                dg.AssetCheckResult(
                    check_name=check.name,
                    asset_key=own,
                    passed=check.passed,
                    severity=dg.AssetCheckSeverity.ERROR,
                    description=check.summary,
                    metadata=numbers(check.numbers),
                )
                for check in measured.checks
            ]
            + [
                dg.AssetCheckResult(
                    check_name="quality",
                    asset_key=own,
                    passed=measured.quality.passed,
                    severity=dg.AssetCheckSeverity.ERROR,
                    description=measured.quality.summary,
                    metadata=numbers(measured.quality.numbers),
                )
            ],
        )

    return candidate


def _metadata(collection: Collection, measured: Measured) -> dict[str, dg.MetadataValue]:
    values = measured.values
    found: dict[str, dg.MetadataValue] = {
        "decision": dg.MetadataValue.text(measured.decision.decision),
        "reason": dg.MetadataValue.text(measured.decision.reason),
        "measured_now": dg.MetadataValue.bool(measured.now),
        **numbers({"generation": measured.generation.number, **cast(dict[str, float], values["index"])}),
        **numbers({f"search_{name}": value for name, value in cast(dict[str, float], values["evaluation"]).items()}),
    }
    found |= _compared(values)
    words = cast(dict[str, str | None], values.get("index_words") or {})
    found |= {f"index_{name}": dg.MetadataValue.text(said) for name, said in words.items() if said}
    fusion = cast(dict[str, Any], values.get("fusion") or {})
    if fusion:
        found["fusion"] = dg.MetadataValue.text(str(fusion["reason"]))
    recalls = cast(list[dict[str, float]], values["recalls"])
    if recalls:
        found["recall"] = table([dict(row) for row in recalls])
        found |= numbers({"recall@10": recalls[-1]["mean"], "worst_recall@10": recalls[-1]["worst"]})
    found |= _partial(values)
    if measured.decision.comparison:
        found["compared"] = comparison_table(measured.decision.comparison, old="before", new="candidate")
    return found


def _partial(values: Mapping[str, object]) -> dict[str, dg.MetadataValue]:
    """What is known of the partial indexes, and for which values one would pay."""
    found: dict[str, dg.MetadataValue] = {}
    there = cast(list[dict[str, Any]], values.get("partial") or [])
    if there:
        shown = [
            {"value": f"{each['field']} = {each['value']}", "bytes": each["bytes"], "used": each["used"],
             "said": each["said"]}
            for each in there
        ]  # fmt: skip
        found["partial_indexes"] = table(shown)
    proposed = cast(list[dict[str, Any]], values.get("partial_proposed") or [])
    if proposed:
        found["partial_indexes_proposed"] = table([{**each, "value": str(each["value"])} for each in proposed])
    return found


def _compared(values: Mapping[str, object]) -> dict[str, dg.MetadataValue]:
    """The arms, the slices and the shadow reads, each a table of its own."""
    found: dict[str, dg.MetadataValue] = {}
    arms = cast(list[dict[str, Any]], values.get("arms") or [])
    if arms:
        name = "synthetic_queries" if values.get("synthetic") else "arms"
        found[name] = dg.MetadataValue.md(_arms_table(arms))
    slices = cast(list[dict[str, Any]], values.get("slices") or [])
    if slices:
        found["slices"] = dg.MetadataValue.md(_slices_table(slices))
    for space, levels in cast(dict[str, list[dict[str, float]]], values.get("levels") or {}).items():
        found[f"label_levels_{space}"] = table([{n: round(v, 4) for n, v in each.items()} for each in levels])
    shadow = cast(dict[str, float] | None, values.get("shadow"))
    if shadow:
        found["recent_questions"] = table([{"what": what, "value": f"{value:.4g}"} for what, value in shadow.items()])
    return found


def _arms_table(arms: list[dict[str, Any]]) -> str:
    """A markdown table: a line per arm, its scores, and how what was measured differs from it."""
    metrics = next((list(arm["scores"]) for arm in arms if arm["scores"]), [])
    lines = [_line(["arm", *metrics, "against it", "95 % interval", "p", ""]), _line(["---"] * (len(metrics) + 5))]
    for arm in arms:
        against = arm["against"]
        cells = [f"{arm['scores'][name]:.4f}" if arm["scores"] else "" for name in metrics]
        cells += _difference(against) if against else ["", "", ""]
        lines.append(_line([arm["arm"], *cells, arm["note"]]))
    return "\n".join(lines)


def _slices_table(slices: list[dict[str, Any]]) -> str:
    """A markdown table: a line per slice, the worst first."""
    said = {"holds": "", "worse": "**worse**", "few": "too few to judge"}
    lines = [
        _line(["slice", "queries", "live", "candidate", "difference", "95 % interval", "p", ""]),
        _line(["---"] * 8),
    ]
    for each in slices:
        found = each["comparison"]
        means = [f"{found['old']:.4f}", f"{found['new']:.4f}"]
        lines.append(_line([each["name"], found["queries"], *means, *_difference(found), said[each["said"]]]))
    return "\n".join(lines)


def _difference(found: Mapping[str, Any]) -> list[str]:
    return [f"{found['difference']:+.4f}", f"{found['low']:+.4f} to {found['high']:+.4f}", f"{found['p']:.2g}"]


def _line(cells: Sequence[object]) -> str:
    """One line of a markdown table; what a value has of its marks is shown as it is."""
    return "| " + " | ".join(" ".join(str(cell).split()).replace("|", "\\|") for cell in cells) + " |"
