"""The candidate stage against the stores: measure the newest generation once per content, and remember it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import cast

from vector_assets.embedding.targets import find_targets
from vector_assets.errors import NotFound
from vector_assets.index.candidate import CandidateReport, measure_candidate
from vector_assets.index.partial_proposals import Proposal
from vector_assets.index.size_planner import plan_index
from vector_assets.records import Decision, Generation
from vector_assets.spec import Evaluation
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.drift import withheld
from vector_assets.stores.fusing import learn_fusion
from vector_assets.stores.levels import measure_levels
from vector_assets.stores.measured import Measured, is_sound, read_measured, score_of
from vector_assets.stores.partial_proposals import partial_proposals
from vector_assets.stores.query_log import QueryLog

KEPT_SLICES = 100  # of the worst
# Keys of the evaluation that change what is measured; its questions are known by themselves.
_JUDGING = {"metric", "slices", "slice_drop", "slice_queries", "bm25_rows", "synthetic", "seed", "label_separator"}


def measure_newest(store: CollectionStore, *, maintenance: bool, log: Callable[[str], None]) -> Measured:
    """Measure the generation on its way, else live. What was measured of the same content is not measured again."""
    generations = store.workspace.generations
    declared = store.collection.evaluation or Evaluation()
    QueryLog(store.workspace.database).keep(store.collection.name, declared.shadow)
    layout = store.layout()
    targets = find_targets(store.collection, layout, store.all())
    for other in store.all():
        promised = other.state == "candidate" and other.decision == "promote"
        abandoned = maintenance and other.state == "building"
        if (promised or abandoned) and not layout.describes(other, store.collection):
            # It was to go live by itself, but a check stood in the way, and the declaration has moved on since; or
            # the declaration moved on before it was built.
            generations.fail(other)
    generation = targets.coming or targets.live
    if generation is None:
        raise NotFound(f"collection {store.collection.name} has no vectors yet; materialize its embeddings first")
    if maintenance:
        renew_worn(store, generation, log)
        store.workspace.indexes.vacuum(generation)
        store.maintain_words()
        log("dead tuples removed")
    generation = generations.roll_up(store.collection, generation)  # the index stage makes the functions follow
    questions = store.questions_version()
    known = generations.measures(generation)
    now = known.get("content") != _content(store, generation, questions) or not is_sound(known) or maintenance
    if now:
        live = targets.live
        measured = generations.measures(live) if live else {}
        same = measured.get("questions") in (None, questions)  # a score on other questions is no measure of drift
        before = score_of(store, measured) if same else None
        store.catch_up(generation)
        deciding = live is None or live.number != generation.number
        # Between two decisions the words of the rows hardly change; reading them all with every sync would cost more.
        words = {"bm25_rows": declared.bm25_rows, "lexical": _lexical(store)}
        asked_before = {name: known.get(name) for name in ("questions", *words)} == {"questions": questions, **words}
        lexical = maintenance or deciding or not asked_before or not _kept_words(known)
        refused = store.refusal(live) if live and deciding else ""
        report = measure_candidate(
            store.collection, generation, None if refused else live, store, store,
            store.asked(store.judged(), deciding=deciding), metric=store.metric, trained=store.trained(), log=log,
            lexical=lexical,
        )  # fmt: skip
        if refused:
            report = replace(report, decision=_unasked(refused))
        store.catch_up(generation)
        _remember(
            store, generation, report, _content(store, generation, questions), [] if lexical else _kept_words(known)
        )
        levels = {} if not report.sound else measure_levels(store, generation)
        told = {space: [asdict(each) for each in found] for space, found in levels.items()}
        generations.measure(generation, {"levels": told, "before": before, "questions": questions, **words})
        if generation.state == "live":
            store.workspace.generations.refresh_views(store.collection, generation, store.relation)
    if is_sound(generations.measures(generation)):
        learned = learn_fusion(store, generation, log=log, anew=maintenance)
        if learned and generation.state == "live":
            store.workspace.generations.refresh_views(store.collection, generation, store.relation)
    return read_measured(store, generation, now=now)


def _unasked(refused: str) -> Decision:
    """Nothing goes live by itself that was not measured against live, also where live cannot be asked any more."""
    return Decision(
        "needs_evaluation",
        f"live cannot be asked, so nothing can be compared with it: {refused}; or use promote --because to let this "
        "generation take its place",
    )


def renew_worn(store: CollectionStore, generation: Generation, log: Callable[[str], None]) -> bool:
    """Build an index anew that too much was changed in since it was built, beside readers and writers.

    Before the vacuum, which takes longer to mend a worn graph than it takes to build one.
    """
    worn = store.workspace.indexes.health(generation).worn
    if worn is None:
        store.partial(generation).build(renew="grown", log=log)
        return False
    log(f"the index is built anew: {worn}")
    built = store.workspace.indexes.rebuild(generation, log=log)
    log(f"built anew in {built.seconds:.1f} s, {built.bytes / 2**20:.1f} MiB")
    store.partial(generation).build(renew="all", log=log)
    return True


def _content(store: CollectionStore, generation: Generation, questions: str) -> str:
    """What was measured, and by which questions: when it is another one, it is measured again."""
    index = store.collection.index.model_dump_json(exclude=None if store.collection.index.partial else {"partial"})
    declared = [index, *([f"top {generation.top}"] if generation.top > 1 else [])]
    if store.collection.evaluation:
        declared.append(store.collection.evaluation.model_dump_json(include=_JUDGING))
    if store.collection.lexical:  # hybrid is measured then: a candidate that words kept out is decided anew
        declared.append(str(_lexical(store)))
    return " ".join([store.workspace.embeddings.content_version(generation), *declared, questions])


def _lexical(store: CollectionStore) -> str | None:
    return store.collection.lexical.model_dump_json() if store.collection.lexical else None


def _kept_words(known: Mapping[str, object]) -> list[dict[str, object]]:
    """Return the lines of BM25 and of hybrid as they were measured last."""
    arms = cast(list[dict[str, object]], known.get("arms") or [])
    return [
        each | {"note": each["note"] or "as measured at the last decision"}
        for each in arms
        if each["arm"] in ("bm25", "hybrid")
    ]


def _remember(
    store: CollectionStore,
    generation: Generation,
    report: CandidateReport,
    content: str,
    words: list[dict[str, object]],
) -> None:
    generations = store.workspace.generations
    table_bytes, _ = store.workspace.embeddings.sizes(generation)
    health = store.workspace.indexes.health(generation)
    compared = report.compared
    generations.measure(
        generation,
        {
            "content": content,
            "checks": {check.name: asdict(check) for check in report.checks},
            "recalls": [asdict(recall) for recall in report.recalls],
            "partial": [one.record(store.collection.index) for one in report.partials],
            "partial_proposed": [asdict(one) for one in _proposed(store, generation, report)],
            "evaluation": dict(compared.evaluation),
            "arms": [arm.record() for arm in compared.arms] + (words if compared.arms else []),
            "synthetic": compared.synthetic,
            "slices": [asdict(each) for each in compared.slices[:KEPT_SLICES]],
            "shadow": dict(compared.shadow.numbers) if compared.shadow else None,
            "index": {
                "vectors": report.built.rows,
                "dims": generation.dims,
                "index_bytes": report.built.bytes,
                "table_bytes": table_bytes,
                "truncated": store.workspace.embeddings.truncated(generation),
                **({"index_seconds": report.built.seconds} if report.built.seconds else {}),
                **dict(report.built.options),
                **health.numbers,
            },
            "index_words": {
                "kind": generation.index_kind,
                "said": _planned(store, generation, report.built.rows),
                "worn": health.worn,
            },
        },
        ef_search=report.recalls[-1].ef_search if report.recalls else None,
    )
    if generation.state != "live":
        generations.decide(generation, withheld(store, generation, report.decision))
        generations.set_state(generation, "candidate")


def _proposed(store: CollectionStore, generation: Generation, report: CandidateReport) -> tuple[Proposal, ...]:
    width = report.recalls[-1].ef_search if report.recalls else None
    return partial_proposals(
        store.workspace.database, store.collection, store.relation, replace(generation, ef_search=width)
    )


def _planned(store: CollectionStore, generation: Generation, rows: int) -> str | None:
    """Say why the index is what it is; None where another one is declared by now."""
    planned = plan_index(store.collection.index, rows=rows, dims=generation.dims, where=generation.collection)
    same = (planned.index_type, planned.precision) == (generation.index_type, generation.precision)
    return planned.said if same else None
