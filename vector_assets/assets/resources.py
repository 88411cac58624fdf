"""The one resource: a thin shell that gives out our own workspace."""

import functools

import dagster as dg

from vector_assets.stores.workspace import Workspace, open_workspace


@functools.cache
def _workspace() -> Workspace:
    return open_workspace()


class WorkspaceResource(dg.ConfigurableResource):  # type: ignore[type-arg]
    """Database, stores and tracking, as the environment names them; opened once per process, when first used."""

    def open(self) -> Workspace:
        """Return the workspace of this process."""
        return _workspace()


WORKSPACE = WorkspaceResource()
