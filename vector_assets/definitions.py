"""The Dagster entry: the collections of the project that VECTOR_ASSETS_PROJECT names, else the bundled one."""

import dagster as dg

from vector_assets.assets.build import build_project
from vector_assets.spec.project import find_project


@dg.definitions
def defs() -> dg.Definitions:
    """Return the definitions of all collections."""
    return build_project(find_project())
