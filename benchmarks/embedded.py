"""A server of a benchmark's own, apart from the project's."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from vector_assets.runtime.postgres import remove_postgres
from vector_assets.stores.workspace import Workspace, open_workspace


@contextmanager
def own_workspace() -> Iterator[Workspace]:
    """Open the stores of a new home in a temporary folder, and take all of it away afterwards."""
    with tempfile.TemporaryDirectory(prefix="va-bench-") as folder:
        home = Path(folder) / "home"
        os.environ["VECTOR_ASSETS_HOME"] = str(home)
        workspace = open_workspace()
        try:
            yield workspace
        finally:
            remove_postgres(home)
