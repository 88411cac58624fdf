"""What a generation is asked: judged questions with their slices, synthetic ones, recent searches."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import islice

from vector_assets.embedding.text import row_text
from vector_assets.index.comparing import Asked
from vector_assets.index.known_items import drawn_keys, known_item
from vector_assets.records import JudgedQuery, Value
from vector_assets.spec import UNLABELLED, Collection, Evaluation
from vector_assets.stores.query_log import QueryLog
from vector_assets.stores.relation import Relation
from vector_assets.stores.row_texts import row_keys, row_texts, text_fields, values_of
from vector_assets.stores.workspace import Workspace
from vector_assets.training.texts import text_digest

_DRAWN = 4  # rows drawn for each synthetic question: not every row has a sentence


def gather(
    workspace: Workspace,
    collection: Collection,
    relation: Relation,
    judged: Sequence[JudgedQuery],
    *,
    deciding: bool,
) -> Asked:
    """Return all that is asked. Synthetic questions only matter where something is decided; recall asks recent ones."""
    declared = collection.evaluation or Evaluation()
    recent: list[str] = []
    if declared.shadow:
        recent = QueryLog(workspace.database).recent(collection.name, declared.shadow)
    if judged:
        slices = slices_of(workspace, collection, relation, judged)
        return Asked(tuple(judged), False, slices, tuple(recent), _of_rows(collection))
    made = synthetic_queries(workspace, collection, relation) if deciding and declared.synthetic else []
    return Asked(tuple(made), True, {}, tuple(recent))


def _of_rows(collection: Collection) -> bool:
    """Tell whether the judged questions are the rows' own texts: those of a training from texts alone."""
    declared = collection.evaluation is not None and collection.evaluation.queries is not None
    trained = [space.train for space in collection.spaces.values() if space.train]
    return not declared and any(each.objective in UNLABELLED for each in trained)


def slices_of(
    workspace: Workspace, collection: Collection, relation: Relation, judged: Sequence[JudgedQuery]
) -> dict[str, list[int]]:
    """Return the places of the queries in each slice: what the queries file says, and by fields of their answers.

    A query belongs to one value of a field: the one that most of the gain of its answers has.
    """
    slices: dict[str, list[int]] = {}
    for place, query in enumerate(judged):
        if query.slice:
            slices.setdefault(f"slice={query.slice}", []).append(place)
    fields = collection.evaluation.slices if collection.evaluation else []
    if not fields:
        return slices
    rows = values_of(workspace.database, relation, (key for query in judged for key in query.relevant), fields)
    for place, query in enumerate(judged):
        for column, field in enumerate(fields):
            value = _most(query, rows, column)
            if value is not None:
                slices.setdefault(f"{field}={value}", []).append(place)
    return slices


def _most(query: JudgedQuery, rows: dict[str, tuple[Value, ...]], column: int) -> str | None:
    gains: Counter[str] = Counter()
    for key, gain in query.relevant.items():
        if key in rows and rows[key][column] is not None:
            gains[str(rows[key][column])] += gain  # type: ignore[assignment]
    return min(gains, key=lambda value: (-gains[value], value)) if gains else None


def synthetic_queries(workspace: Workspace, collection: Collection, relation: Relation) -> list[JudgedQuery]:
    """Make known-item questions of rows that no encoder was trained on; the same ones while these rows stay."""
    declared = collection.evaluation or Evaluation()
    fields = text_fields(collection)
    if not fields:
        return []
    learned = _learned(workspace, collection, relation)
    unseen = (key for key in row_keys(workspace.database, relation) if key not in learned)
    drawn = drawn_keys(unseen, _DRAWN * declared.synthetic, declared.seed)
    rows = values_of(workspace.database, relation, drawn, fields)
    made = ((key, known_item(key, row_text(rows[key]), declared.seed)) for key in drawn if key in rows)
    asked = (JudgedQuery(f"synthetic {key}", text, {key: 1.0}) for key, text in made if text)
    return list(islice(asked, declared.synthetic))


def _learned(workspace: Workspace, collection: Collection, relation: Relation) -> set[str]:
    """Rows that the encoders in use were trained or chosen on; those that a pair does not name, by their text."""
    found: set[str] = set()
    for space, declared in collection.spaces.items():
        stored = workspace.checkpoints.encoder(collection.name, space)
        if not stored or not stored.training_set:
            continue
        pairs = workspace.training_sets.get(stored.training_set).pairs
        learned = [pair for pair in pairs if pair.split != "test"]
        found |= {pair.key for pair in learned if pair.key}
        known = {pair.document for pair in learned if pair.key}
        nameless = {text for pair in learned for text in (pair.document, *pair.negatives)} - known
        if nameless and declared.kind == "text":
            digests = {text_digest(text) for text in nameless}
            texts = row_texts(workspace.database, relation, declared.fields)
            found |= {key for key, text in texts if text_digest(text) in digests}
    return found
