"""What scores mean, learned once per generation and method, and kept with the generation."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import Any, cast

import numpy as np

from vector_assets.encoder.image.samples import ImageText
from vector_assets.errors import CanaryMismatch
from vector_assets.index.calibrating import DEPTH, LEAST_QUESTIONS, Kept, Scored, calibrate, judge, keep, mark
from vector_assets.index.retrieve import exact_hits
from vector_assets.records import Generation, JudgedQuery
from vector_assets.records.calibration import Calibrated
from vector_assets.search.answers import scoring
from vector_assets.search.ask import METHODS, Ask, Method
from vector_assets.search.engine import SearchEngine
from vector_assets.spec import Evaluation
from vector_assets.stores.collection import CollectionStore

#: Questions that are learned from, and that the outcome is held against; more would not change what is found.
LEARNED, HELD = 1000, 500
#: A support vector machine for each question would take half an hour.
_SLOW = ("svm",)

#: The one method whose scores depend on weights that are learned.
LEARNED_FUSION = "hybrid/calibrated"

Find = Callable[[Sequence[JudgedQuery]], Scored]


@dataclass(frozen=True, slots=True)
class CalibratedMethod:
    """What is known of one method of a generation.

    ``kept`` is the declared precision against what was found on the evaluation's questions; its ``precision`` is None
    where there were none.
    """

    calibrated: Calibrated
    kept: Kept
    key: str


def known_calibrations(store: CollectionStore, generation: Generation) -> dict[str, CalibratedMethod]:
    """Return what is kept of a generation, by method."""
    kept = cast(Mapping[str, Any], store.workspace.generations.measures(generation).get("calibration") or {})
    return {
        name: CalibratedMethod(Calibrated.of(each["calibrated"]), Kept(**each["kept"]), each["key"])
        for name, each in kept.items()
    }


def calibrate_vectors(
    store: CollectionStore, generation: Generation, log: Callable[[str], None], *, anew: bool = False
) -> bool:
    """Calibrate cosines of a generation by an exact scan, live or not; return whether anything was learned now.

    ``anew``: also where the same was learned before, since the rows have changed.
    """

    def find(queries: Sequence[JudgedQuery]) -> Scored:
        questions = store.questions(generation, [query.text for query in queries])
        return exact_hits(
            store.blocks(generation), np.ascontiguousarray(questions), queries, k=DEPTH, top=generation.top
        )

    return _settle(store, generation, {"vector": find}, log, anew=anew)


def calibrate_live(
    store: CollectionStore, generation: Generation, log: Callable[[str], None], *, anew: bool = False
) -> bool:
    """Calibrate what else can be asked of the live generation, as people ask it; the same."""
    methods = [method for method in live_methods(store) if method not in ("vector", "exact", *_SLOW)]
    if not methods:
        return False
    reader = store.workspace.reader()
    engine = SearchEngine(reader, store.collection.name, store.load)
    fusion = store.collection.search.fusion

    def asks(method: Method) -> Find:
        return lambda queries: {
            query.id: [
                (hit.key, hit.score) for hit in engine.answer(Ask(query.text, method=method, fusion=fusion)).hits
            ]
            for query in queries
            if not isinstance(query.text, ImageText) and query.among is None
        }

    named = {scoring(Ask("a question", method=method, fusion=fusion)): asks(method) for method in methods}
    with closing(reader):
        try:
            return _settle(store, generation, {name: find for name, find in named.items() if name}, log, anew=anew)
        except CanaryMismatch as error:  # live refuses to be asked; another generation may be on its way
            log(f"not calibrated: {error}")
            return False


def live_methods(store: CollectionStore) -> tuple[Method, ...]:
    """Return the methods that a collection can be asked by: those of words where it declares what to index."""
    words = store.collection.lexical is not None
    return tuple(method for method in METHODS if words or method not in ("bm25", "hybrid"))


def _settle(
    store: CollectionStore, generation: Generation, finds: Mapping[str, Find], log: Callable[[str], None], *, anew: bool
) -> bool:
    """Learn what is not known yet of these very questions and scores; forget what cannot be known any more."""
    known = known_calibrations(store, generation)
    declared = store.collection.evaluation or Evaluation()
    version = store.calibration_version()
    asked = f"{version} {store.questions_version()} {declared.answer_precision}"
    keys = {name: f"{asked} {_scores(store, generation, name)}" for name in finds}
    missing = {n: find for n, find in finds.items() if anew or n not in known or known[n].key != keys[n]}
    if not missing or (not version and not known):
        return False
    learned = _some(store.calibration_queries() if version else [], LEARNED, "learned")
    held = _some(store.judged(), HELD, "held")
    if len(learned) < LEAST_QUESTIONS and not known:
        log(f"scores are not calibrated: {len(learned)} questions, expected {LEAST_QUESTIONS} at least")
        return False
    for name, find in missing.items():
        known.pop(name, None)
        found = find([*learned, *held]) if len(learned) >= LEAST_QUESTIONS else {}
        calibrated = calibrate(mark(found, learned), method=name)
        if calibrated is None:
            log(f"{name} is not calibrated: {len(learned)} questions, expected {LEAST_QUESTIONS} that find something")
            continue
        fresh = mark(found, held)
        calibrated = replace(calibrated, reliability=judge(calibrated, fresh) if held else None)
        kept = keep(calibrated, fresh, declared.answer_precision, questions=len(held))
        known[name] = CalibratedMethod(calibrated, kept, keys[name])
        log(calibration_words(known[name]))
    store.workspace.generations.measure(generation, {"calibration": {n: asdict(each) for n, each in known.items()}})
    return True


def _scores(store: CollectionStore, generation: Generation, name: str) -> str:
    """Return what changes when the scores of a method mean something else, though the questions are the same.

    That is how chunks make the score of a row, how words are counted, and the weights of a sum, which maintenance
    learns anew for the same questions.
    """
    of = [f"top {generation.top}"]
    if name != "vector" and store.collection.lexical:
        of.append(store.collection.lexical.model_dump_json())
    if name == LEARNED_FUSION:
        fusion = cast(Mapping[str, Any], store.workspace.generations.measures(generation).get("fusion") or {})
        of.append(json.dumps([fusion.get(each) for each in ("weight", "vector_scale", "bm25_scale")]))
    return hashlib.sha256("\n".join(of).encode()).hexdigest()[:12]


def calibration_words(found: CalibratedMethod) -> str:
    """Say in one line what is known of a method."""
    calibrated, kept = found.calibrated, found.kept
    share = f"{100 * kept.stated:g} %"
    said = [f"{calibrated.method}: {calibrated.form} over {calibrated.questions} questions"]
    said.append(
        f"{share} of answers are right from {kept.threshold:.4g} on"
        if kept.threshold is not None
        else f"no score from which {share} of answers are right"
    )
    if calibrated.reliability:
        found_share = f"{100 * kept.precision:.1f} % right of {kept.answers}" if kept.precision is not None else "none"
        said.append(
            f"on {calibrated.reliability.questions} other questions ECE {calibrated.reliability.ece:.3f}, answers "
            f"{found_share}, {100 * kept.answered:.0f} % of questions answered"
        )
    return "; ".join(said)


def _some(queries: Sequence[JudgedQuery], count: int, side: str) -> list[JudgedQuery]:
    """Return at most ``count`` questions, evenly spread, under ids of their side: splits number theirs alike."""
    places = np.unique(np.linspace(0, len(queries) - 1, min(count, len(queries))).astype(int))
    return [replace(queries[place], id=f"{side} {place}") for place in places]
