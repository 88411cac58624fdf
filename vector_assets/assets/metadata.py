"""What people see of a materialization: the same names and shapes in every asset."""

import csv
import os
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import dagster as dg

from vector_assets.records import Comparison
from vector_assets.spec import POSTGRES_TYPES, Collection

Metadata = dict[str, dg.MetadataValue]


def table_metadata(collection: Collection, *, rows: int, table: str) -> Metadata:
    """Row count, table name and column schema, under Dagster's own keys."""
    columns = [dg.TableColumn(name, POSTGRES_TYPES[kind], description=kind) for name, kind in collection.fields.items()]
    return {
        "dagster/row_count": dg.MetadataValue.int(rows),
        "dagster/table_name": dg.MetadataValue.text(table),
        "dagster/column_schema": dg.MetadataValue.table_schema(dg.TableSchema(columns)),
    }


def speed(rows: int, seconds: float) -> Metadata:
    """Seconds, and rows per second where there were rows."""
    found: Metadata = {"seconds": dg.MetadataValue.float(round(seconds, 3))}
    if rows and seconds:
        found["rows_per_second"] = dg.MetadataValue.float(round(rows / seconds, 1))
    return found


def numbers(values: Mapping[str, float]) -> Metadata:
    """Plain numbers."""
    return {
        name: dg.MetadataValue.int(value) if isinstance(value, int) else dg.MetadataValue.float(round(value, 6))
        for name, value in values.items()
    }


def table(rows: Sequence[Mapping[str, str | int | float | bool | None]]) -> dg.MetadataValue:
    """Return a small table; every row has the same columns."""
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows])


def csv_table(path: Path, *, rows: int = 12) -> dg.MetadataValue:
    """Return the first rows of a CSV with a header."""
    with path.open(newline="", encoding="utf-8") as file:
        return table(list(islice(csv.DictReader(file), rows)))


def dagster_tags(context: dg.AssetExecutionContext) -> dict[str, str]:
    """Return what a run elsewhere is tagged with, so that a person finds the way back.

    ``up`` sets VECTOR_ASSETS_DAGSTER_UI; else the address is that of its default port.
    """
    base = os.environ.get("VECTOR_ASSETS_DAGSTER_UI", "http://127.0.0.1:3000").rstrip("/")
    run = context.run.run_id
    return {
        "dagster/run_id": run,
        "dagster/run_url": f"{base}/runs/{run}",
        "asset": context.asset_key.to_user_string(),
    }


def digests(found: Mapping[str, str]) -> dg.MetadataValue:
    """Return names with the beginnings of their digests: whole ones push everything else out of the page."""
    return dg.MetadataValue.text(", ".join(f"{name} {digest[:12]}" for name, digest in found.items()))


def contract_table(contract: Mapping[str, object]) -> dg.MetadataValue:
    """Return what the vectors mean, one property a line, the digests in it shortened."""
    lines = {
        name: str(value)[:12] if name == "tokenizer" else str(value) for name, value in contract.items() if value != ""
    }
    return table([{"what": name, "value": value} for name, value in lines.items()])


def comparison_table(comparison: Comparison, *, old: str, new: str) -> dg.MetadataValue:
    """Both means, the difference with its interval, p: one a line, since the page is narrow."""
    lines = {
        f"{comparison.metric}, {old}": f"{comparison.old:.4f}",
        f"{comparison.metric}, {new}": f"{comparison.new:.4f}",
        "difference": f"{comparison.difference:+.4f}",
        "95 % interval": f"{comparison.low:+.4f} to {comparison.high:+.4f}",
        "p": f"{comparison.p:.2g}",
        "queries": f"{comparison.queries}",
    }
    return table([{"what": what, "value": value} for what, value in lines.items()])


def search_metadata(found: Mapping[str, Any]) -> Metadata:
    """What a search tried, and the best against the declared settings: on validation, and on test with its interval."""
    trials: Sequence[Mapping[str, Any]] = found["trials"]
    states = [one["state"] for one in trials]
    names = list(dict.fromkeys(name for one in trials for name in one["settings"]))
    declared = found["baseline_validation"]
    metadata: Metadata = {
        "search_trials": dg.MetadataValue.int(len(trials)),
        "search_pruned": dg.MetadataValue.int(states.count("pruned")),
        "search_failed": dg.MetadataValue.int(states.count("failed")),
        "search_seconds": dg.MetadataValue.float(round(sum(one["seconds"] for one in trials), 1)),
        "search_best": dg.MetadataValue.text(
            ", ".join(f"{name} {value}" for name, value in found["settings"].items()) or "the untrained base"
        ),
        "search_table": table(
            [
                {
                    "trial": one["number"],
                    "state": one["state"],
                    **{name: str(one["settings"].get(name, "")) for name in names},
                    found["metric"]: "" if one["value"] is None else f"{one['value']:.4f}",
                    "error": one["error"],
                }
                for one in trials
            ]
        ),
    }
    if declared is not None:
        metadata["best_over_declared_on_validation"] = dg.MetadataValue.float(round(found["validation"] - declared, 6))
    for name, test in (("", found["test"]), ("_accuracy", found["test_accuracy"])):
        if test:
            compared = comparison_table(Comparison(**test), old="declared", new="best")
            metadata[f"best_over_declared_on_test{name}"] = compared
    return metadata
