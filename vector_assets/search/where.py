"""What ``where=`` and ``--where`` take: filters as text or as trees, one or several of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from vector_assets.search.filter_grammar import parse
from vector_assets.search.filters import Fields, Filter, all_of, checked
from vector_assets.spec import Collection
from vector_assets.spec.field import FieldType

Where: TypeAlias = str | Filter | Sequence[str | Filter] | None


def read_where(where: Where, collection: Collection, key: Callable[[], Mapping[str, FieldType]]) -> Filter | None:
    """Return the filter that must hold; raises UserError that names the place. ``key`` is asked for where one is."""
    if where is None or (not isinstance(where, str) and not where):
        return None
    several = [where] if isinstance(where, str | Mapping) else where
    fields: Fields = {**key(), **collection.fields}
    return all_of([parse(one, fields) if isinstance(one, str) else checked(one, fields) for one in several])
