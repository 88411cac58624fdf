"""The questions that a collection is judged by, which no training may see."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

from vector_assets.source.judged import read_judged
from vector_assets.spec import Collection, Evaluation, RetrievalTask


def evaluated_questions(collection: Collection, space: str) -> list[str]:
    """Return the texts of the judged queries of ``evaluation:`` and of the retrieval tasks of ``scores:``, each once.

    A space of images reads no text, so it has none. Calibration questions are not among them: nothing is judged by
    them, and they may well be those of a train set.
    """
    if collection.spaces[space].kind == "image":
        return []
    declared: list[Evaluation | RetrievalTask] = [collection.evaluation] if collection.evaluation else []
    tasks = collection.scores.tasks.values() if collection.scores else ()
    declared += [task for task in tasks if isinstance(task, RetrievalTask)]
    places = {(each.queries, each.qrels) for each in declared if each.queries and each.qrels}
    files = [(collection.resolve(queries), collection.resolve(qrels)) for queries, qrels in sorted(places)]
    return sorted({query.text for file in files for query in read_judged(*file)})


def version_of(questions: Sequence[str]) -> str:
    """Return what changes with the questions; "" where there are none."""
    return hashlib.sha256(json.dumps(list(questions)).encode()).hexdigest()[:16] if questions else ""
