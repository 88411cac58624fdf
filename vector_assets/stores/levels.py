"""Average precision at each level of the labels of held-out texts, where labels are declared to be paths."""

from __future__ import annotations

from vector_assets.index.levels import Level, level_scores
from vector_assets.index.retrieve import exact_rankings
from vector_assets.records import Generation, JudgedQuery
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.held_out import split_pairs


def measure_levels(store: CollectionStore, generation: Generation) -> dict[str, tuple[Level, ...]]:
    """Return the levels of each space that learned from labels; none where no ``label_separator`` is declared.

    Each held-out labelled text is a question, and is looked for among the others, by an exact scan.
    """
    declared = store.collection.evaluation
    if declared is None or declared.label_separator is None:
        return {}
    found = {}
    for space, pairs in split_pairs(store.workspace, store.collection, store.relation, "test"):
        labelled = {pair.key: pair for pair in pairs if pair.key and pair.label}
        if not labelled:
            continue
        among = frozenset(labelled)
        asked = [JudgedQuery(key, pair.document, {}, among=among, own=key) for key, pair in labelled.items()]
        questions = store.questions(generation, [query.text for query in asked])
        rankings = exact_rankings(store.blocks(generation), questions, asked, k=len(asked), top=generation.top)
        labels = {key: pair.label for key, pair in labelled.items()}
        found[space] = level_scores(rankings, labels, separator=declared.label_separator)
    return found
