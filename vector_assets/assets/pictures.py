"""Pictures in a materialization's metadata, small enough to travel with the event."""

import base64
from pathlib import Path

import dagster as dg


def picture(path: Path) -> dg.MetadataValue:
    """Return a PNG as Markdown that the Dagster UI shows as a picture."""
    data = base64.b64encode(path.read_bytes()).decode()
    return dg.MetadataValue.md(f"![{path.stem}](data:image/png;base64,{data})")
