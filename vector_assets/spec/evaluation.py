"""Evaluation: questions with known answers, held out of every training."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from vector_assets.spec.base import Spec

MetricName = Literal["ndcg@10", "mrr@10", "recall@10", "recall@100", "map"]


class Evaluation(Spec):
    """How good search has to be: judged queries in the BEIR layout, and the range that their score must stay in."""

    queries: str | None = Field(
        default=None,
        description="JSONL with _id and text (or id), plain or .gz. Left out with qrels: the test split of training.",
    )
    qrels: str | None = Field(
        default=None, description="TSV with query-id, corpus-id and score, plain or .gz; a header is skipped."
    )
    metric: MetricName | None = Field(
        default=None,
        description="What the gate compares; ndcg@10 on declared queries, mrr@10 on held-out pairs when left out.",
    )
    floor: float | None = Field(
        default=None, ge=0, le=1, description="The check quality fails below this score of the metric."
    )
    drift: float = Field(
        default=0.05, gt=0, le=1, description="The check quality fails this far below what live last scored."
    )

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.queries is None) != (self.qrels is None):
            raise ValueError("queries and qrels belong together; give both or neither")
        return self
