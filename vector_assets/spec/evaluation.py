"""Evaluation: questions with known answers, held out of every training."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from vector_assets.spec.base import Spec

MetricName = Literal["ndcg@10", "mrr@10", "recall@10", "recall@100", "map"]


class Evaluation(Spec):
    """Queries and relevance judgements in the BEIR layout; the gate compares generations on them."""

    queries: str = Field(description="JSONL with _id and text (or id), plain or .gz.")
    qrels: str = Field(description="TSV with query-id, corpus-id and score, plain or .gz; a header is skipped.")
    metric: MetricName = Field(default="ndcg@10", description="What the gate compares.")
