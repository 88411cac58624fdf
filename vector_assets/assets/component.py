"""``vector_assets.CollectionComponent``: a declaration in a Dagster project's defs folder."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import dagster as dg
from dagster.components import Component, ComponentLoadContext
from pydantic import BaseModel, ConfigDict

from vector_assets.assets.build import build_definitions
from vector_assets.spec import Collection
from vector_assets.spec.load import load_collection


class CollectionAttributes(BaseModel):
    """Anything: our own loader reads the file, renders references to the environment, and names each error's line."""

    model_config = ConfigDict(extra="allow")


class CollectionComponent(Component):
    """The rows of one table, made searchable: see docs/declaration.md for what may be declared."""

    def __init__(self, collection: Collection) -> None:
        """Keep the declaration."""
        self.collection = collection

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """Let every key through: ``load`` checks them."""
        return CollectionAttributes

    @classmethod
    def load(
        cls, attributes: BaseModel | Mapping[str, Any] | None, context: ComponentLoadContext
    ) -> "CollectionComponent":
        """Read the folder's defs.yaml with the loader that the command line uses."""
        return cls(load_collection(Path(context.path) / "defs.yaml"))

    def build_defs(self, context: ComponentLoadContext) -> dg.Definitions:
        """Return the collection's definitions."""
        return build_definitions(self.collection)
