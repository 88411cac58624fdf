"""Evaluation: questions with known answers. Those that are judged by are held out of every training."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from vector_assets.spec.base import ColumnName, Spec
from vector_assets.spec.chunking import Chunking

MetricName = Literal["ndcg@10", "mrr@10", "recall@10", "recall@100", "map"]
ChunkingName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_]{0,39}$")]


class Calibration(Spec):
    """Other judged queries than those of the evaluation: they tell what a score means, and nothing is scored on them.

    Left out, they are the validation split of training; without one, nothing is calibrated. See docs/evaluation.md.
    """

    queries: str = Field(
        description="JSONL with _id (or id) and text, plain or .gz; may be the file of the evaluation."
    )
    qrels: str = Field(
        description="TSV with query-id, corpus-id and score, plain or .gz. Queries that are evaluated are left out."
    )


class Evaluation(Spec):
    """How good search has to be: judged queries in the BEIR layout, and the range that their score must stay in."""

    queries: str | None = Field(
        default=None,
        description="JSONL with _id (or id), text and perhaps slice, plain or .gz. Left out with qrels: the test "
        "split of training; of labelled texts each asks for the others of its label, among the held-out ones.",
    )
    qrels: str | None = Field(
        default=None,
        description="TSV with query-id, corpus-id and score, plain or .gz; a header is skipped. Or JSONL with these "
        "keys, and perhaps passage, or start and stop: the part of the row that answers.",
    )
    calibration: Calibration | None = None
    answer_precision: float = Field(
        default=0.9,
        gt=0,
        lt=1,
        description="Share of answers that are to be right. `search --precision` leaves out hits below the score that "
        "calibration found for it; a raw score is never declared, since it means another thing in every space.",
    )
    metric: MetricName | None = Field(
        default=None,
        description="What the gate compares; when left out, ndcg@10 on declared queries, else map on "
        "held-out labelled texts, mrr@10 on held-out pairs.",
    )
    floor: float | None = Field(
        default=None, ge=0, le=1, description="The check quality fails below this score of the metric."
    )
    drift: float = Field(
        default=0.05, gt=0, le=1, description="The check quality fails this far below what live last scored."
    )

    label_separator: str | None = Field(
        default=None,
        min_length=1,
        description="Labels of training are paths with this between their parts, such as / in animal/dog/chihuahua. "
        "MAP of the held-out labelled texts is then also told at each level: of the same first part, first two, …",
    )
    slices: list[ColumnName] = Field(
        default=[],
        description="Category fields: the questions are also compared by the value of each that their answers have. "
        "A slice key in the queries file is compared as well.",
    )
    slice_drop: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="A candidate stays out when a slice falls by more than this, and not by chance, however much "
        "better it is on the whole.",
    )
    slice_queries: int = Field(
        default=20, ge=5, description="Slices with fewer questions than this are shown, not judged."
    )
    bm25_rows: int = Field(
        default=200_000,
        ge=0,
        description="BM25 is measured beside the vectors up to this many rows; beyond, it is said to be left out.",
    )
    synthetic: int = Field(
        default=200,
        ge=0,
        le=5000,
        description="Where there are no judged questions, this many are made from words of the rows (known items). "
        "They are shown as synthetic and never enough to promote; 0 makes none.",
    )
    seed: int = Field(default=0, ge=0, description="Draws the rows of the synthetic questions, and their words.")
    shadow: int = Field(
        default=0,
        ge=0,
        le=10_000,
        description="Keep the texts of this many recent searches, without who asked, and ask them of live and "
        "candidate before a swap. 0 keeps nothing, and forgets what was kept at the next run.",
    )

    chunkings: dict[ChunkingName, Chunking] = Field(
        default={},
        description="Ways of cutting the texts, by name, to be measured on the questions beside the declared one: the "
        "asset chunkings/COLLECTION, run by hand or by materialize --stage chunkings. The best is told, not taken.",
    )
    chunking_rows: int = Field(
        default=5000,
        ge=10,
        description="Of more rows, chunkings are measured on this many: those that answer questions, and others by "
        "chance. All ways meet the same rows.",
    )

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.queries is None) != (self.qrels is None):
            raise ValueError("queries and qrels belong together; give both or neither")
        if self.calibration and self.calibration.qrels == self.qrels:
            raise ValueError("calibration.qrels are those of the evaluation; expected others, such as a train set's")
        if "declared" in self.chunkings:
            raise ValueError("chunkings: declared is the space's own, and stands in the table by itself; another name")
        return self
