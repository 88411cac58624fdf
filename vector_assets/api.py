"""The Python face: ``vector_assets.connect(project).collection("papers").search("…", k=10)``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from vector_assets.collection_client import CollectionClient
from vector_assets.spec.project import Project, find_project, in_project
from vector_assets.stores.session_settings import checked_settings
from vector_assets.stores.workspace import Workspace, open_workspace


def connect(project: str | Path | None = None, *, settings: Mapping[str, str] | None = None) -> Client:
    """Open a project: the argument, else VECTOR_ASSETS_PROJECT, else the bundled one.

    ``settings`` are those of the sessions that search, such as ``{"app.tenant": "acme"}``, for a source whose policies
    ask ``current_setting('app.tenant')`` who is reading. Raises UserError for a name without a dot.
    """
    named = Path(project) if project else None
    return Client(find_project(named), checked_settings(settings or {}), named)


class Client:
    """A project and the workspace that its collections live in."""

    def __init__(self, project: Project, settings: Mapping[str, str] | None = None, named: Path | None = None) -> None:
        """Use ``connect`` instead. ``named`` is the project's folder where the environment does not name it."""
        self.project = project
        self._named = named.expanduser().absolute() if named else None
        self.settings = settings or {}

    @cached_property
    def workspace(self) -> Workspace:
        """Database, stores and tracking; no server is started before they are needed."""
        with in_project(self._named):
            return open_workspace(self.settings)

    def collection(self, name: str) -> CollectionClient:
        """Return one collection; raises NotFound."""
        declared = self.project.collection(name)
        return CollectionClient(self.workspace, declared, self._named)

    def collections(self) -> tuple[CollectionClient, ...]:
        """Return all collections, sorted by name."""
        return tuple(CollectionClient(self.workspace, each, self._named) for each in self.project.collections())
