"""Scores: tasks of the four usual types on local data, for the encoder that serves and the arms beside it."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vector_assets.spec.base import ColumnName, Name, Spec

_LABELLED = "JSONL, CSV, TSV or Parquet, plain or .gz, with the two columns below."
_FIELD = (
    "A category field of the rows, in place of files; rows without it, or without text, are left out. It must not be "
    "read by the space."
)


class RetrievalTask(Spec):
    """Queries ask all rows; the answers are judged, in the BEIR layout. Main score: ndcg_at_10."""

    kind: Literal["retrieval"]
    queries: str | None = Field(default=None, description="JSONL with _id and text. Left out: evaluation.queries.")
    qrels: str | None = Field(default=None, description="TSV with query-id, corpus-id and score, beside queries.")

    @model_validator(mode="after")
    def _belong_together(self) -> Self:
        if (self.queries is None) != (self.qrels is None):
            raise ValueError("queries and qrels belong together; give both or neither")
        return self


class ClassificationTask(Spec):
    """A logistic regression of 100 iterations learns from a few texts of each label. Main score: accuracy."""

    kind: Literal["classification"]
    train: str | None = Field(default=None, description=f"What is learned from: {_LABELLED}")
    test: str | None = Field(default=None, description="What is asked, likewise.")
    labels: ColumnName | None = Field(
        default=None,
        description=f"{_FIELD} Test are the test rows of the space's training set, else a share of the rows.",
    )
    text: str = Field(default="text", min_length=1, description="The column of texts.")
    label: str = Field(default="label", min_length=1, description="The column of labels.")
    share: float = Field(default=0.3, gt=0, lt=1, description="The share of rows that are test, drawn by their key.")
    shots: int = Field(default=8, ge=1, le=10_000, description="Texts of each label that are learned from.")
    draws: int = Field(default=10, ge=1, le=100, description="Times that they are drawn anew; scores are means.")

    @model_validator(mode="after")
    def _is_one_source(self) -> Self:
        if (self.train is None) != (self.test is None):
            raise ValueError("train and test belong together; give both, or labels")
        if (self.train is None) == (self.labels is None):
            raise ValueError("train with test, and labels: expected exactly one of the two")
        return self


class ClusteringTask(Spec):
    """Mini-batch k-means finds as many clusters as there are labels. Main score: v_measure."""

    kind: Literal["clustering"]
    file: str | None = Field(default=None, description=_LABELLED)
    labels: ColumnName | None = Field(default=None, description=_FIELD)
    text: str = Field(default="text", min_length=1, description="The column of texts.")
    label: str = Field(default="label", min_length=1, description="The column of labels.")
    draws: int = Field(default=10, ge=1, le=100, description="Times that k-means starts anew; scores are means.")

    @model_validator(mode="after")
    def _is_one_source(self) -> Self:
        if (self.file is None) == (self.labels is None):
            raise ValueError("file and labels: expected exactly one of the two")
        return self


class StsTask(Spec):
    """The cosine of two texts against how alike people found them. Main score: cosine_spearman."""

    kind: Literal["sts"]
    pairs: str = Field(
        description="JSONL, CSV, TSV or Parquet, plain or .gz, with sentence1, sentence2 and score (any range)."
    )


Task = Annotated[RetrievalTask | ClassificationTask | ClusteringTask | StsTask, Field(discriminator="kind")]
TaskName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]{0,59}$")]


class Scores(Spec):
    """Tasks that the asset ``scores/<collection>`` runs with three arms.

    They are the checkpoint that serves live, the declared encoder as it is untrained, and its token vectors alone.
    """

    tasks: dict[TaskName, Task] = Field(min_length=1, description="By name, which is that of the result's file.")
    space: Name | None = Field(default=None, description="The space whose encoder is asked. Left out: the first.")
    rows: int = Field(
        default=20_000,
        ge=100,
        description="Each arm encodes at most this many rows for a task. Of more, those that a query judges are taken "
        "and others drawn by their key; the result says how many.",
    )
    languages: list[str] = Field(
        default=[], description="Of the texts, such as eng-Latn; written into the results as they are."
    )
    seed: int = Field(default=0, ge=0, description="Draws what is learned from, and where k-means starts.")
    on_change: bool = Field(
        default=False, description="Score anew by automation whenever what is live changed. False: when asked."
    )
