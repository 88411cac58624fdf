"""What people see of a materialization: the same names and shapes in every asset."""

from collections.abc import Mapping, Sequence

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


def comparison_table(comparison: Comparison, *, old: str, new: str) -> dg.MetadataValue:
    """One line: both means, the difference with its interval, p."""
    return table(
        [
            {
                "metric": comparison.metric,
                old: round(comparison.old, 4),
                new: round(comparison.new, 4),
                "difference": f"{comparison.difference:+.4f}",
                "95 % interval": f"[{comparison.low:+.4f}, {comparison.high:+.4f}]",
                "p": round(comparison.p, 5),
                "queries": comparison.queries,
            }
        ]
    )
