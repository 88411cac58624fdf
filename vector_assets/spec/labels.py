"""Labels: where the pairs and classes that an encoder learns from come from, and which of them are held out."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from vector_assets.spec.base import ColumnName, SecretReference, Share, Spec

#: Keys of ``train`` that say where pairs come from; exactly one of them is given.
PAIR_SOURCES = ("pairs", "triplets", "relevance", "clicks")
#: What ``by_time`` is called where the examples stand in a file or log of their own.
TIME_OF_FILES = "time"


class FieldPairs(Spec):
    """Pairs made of the collection's own rows: one field asks, the space's fields answer."""

    query: ColumnName = Field(description="The field whose text asks for the row; rows where it is empty make no pair.")
    min_words: int = Field(default=3, ge=1, description="Shorter queries make no pair.")


class Outside(Spec):
    """Labels that stand beside the rows: in a file, or in a table of ours or of another database."""

    file: str | None = Field(default=None, description="A path or a glob, plain or .gz.")
    table: str | None = Field(
        default=None, pattern=r"^[^.\s]+(\.[^.\s]+)?$", description="table or schema.table, in place of a file."
    )
    query: str | None = Field(default=None, min_length=1, description="One select, in place of a file.")
    url: SecretReference | None = Field(
        default=None,
        description='For table and query: the variable that holds an SQLAlchemy URL, "{{ env.LABELS_URL }}". '
        "Left out: our own database.",
    )

    @model_validator(mode="after")
    def _is_one_place(self) -> Self:
        if sum(source is not None for source in (self.file, self.table, self.query)) != 1:
            raise ValueError("file, table and query: expected exactly one of them")
        if self.file and self.url:
            raise ValueError("url: has a meaning only with table or query; leave it out")
        return self


class LabelsFile(Outside):
    """Labels that stand beside the rows. Columns: ``id`` and ``label``; rows that it does not name have no label.

    A file is JSONL. A table of labels that people write to is read anew whenever the training set is refreshed.
    """


class Relevance(Spec):
    """Documents judged by grade, in the BEIR layout. A query makes a pair with each row that is judged high enough."""

    queries: str = Field(description="JSONL with _id and text, plain or .gz.")
    qrels: str = Field(
        description="TSV of query-id, corpus-id and grade, or the four columns of TREC. A pair weighs 2^grade - 1, "
        "divided by the mean over train. Rows of grade 0 or below are hard negatives of their query."
    )
    min_grade: float = Field(
        default=1, gt=0, le=20, description="Lower grades above 0 make neither a pair nor a negative."
    )


class Clicks(Outside):
    """A log of what was shown where, and clicked. How much a high place helped is estimated and weighed out.

    Columns: ``query``, ``shown`` (a row's id), ``position`` (from 1), ``clicked`` (true, false, 1 or 0), and, where
    known, ``session`` (what names one list of results) and ``time``. A file is JSONL, CSV, TSV or Parquet.
    """

    propensities: list[Annotated[float, Field(gt=0, le=1)]] | None = Field(
        default=None,
        min_length=1,
        description="How likely positions 1, 2, … are looked at, where an experiment told. Left out: estimated from "
        "rows that were shown for the same query at several positions.",
    )
    max_weight: float = Field(
        default=10,
        ge=1,
        le=1000,
        description="A click weighs 1/propensity of its position, at most this. A pair weighs what its clicks weigh, "
        "per time that it was shown, divided by the mean over train.",
    )
    min_impressions: int = Field(
        default=10, ge=1, description="A row that was shown less often for a query makes no pair."
    )
    max_negatives: int = Field(
        default=5,
        ge=0,
        le=50,
        description="Rows shown above a click of the query (in one session) and never clicked for it are its hard "
        "negatives, the most often skipped first. Without session there are none.",
    )


class Split(Spec):
    """Which pairs are held out. Whole groups are, so that nothing of a group is both learned and asked."""

    by: ColumnName | None = Field(
        default=None, description="The field that groups rows; each row is its own group without it."
    )
    by_time: ColumnName | None = Field(
        default=None,
        description="The datetime field by which the newest share becomes test and the next validation; for examples "
        "in a file or log, time. A group goes where its newest row goes, and its rows older than that split are left "
        "out, so no test row is older than a train row. Equal times stay together.",
    )
    validation: list[str] | Share = Field(
        default=0.1, description="Names of groups, or a share: chooses the best weights."
    )
    test: list[str] | Share = Field(
        default=0.1, description="Names of groups, or a share: scored once, chooses nothing."
    )
    duplicates: Share = Field(
        default=0.8,
        description="Pairs this similar (cosine of word 3-grams) across a split, or to a question of evaluation, are "
        "removed.",
    )
    image_bits: int = Field(
        default=6,
        ge=0,
        le=20,
        description="Images whose perceptual hashes (pHash) differ in at most this many of 64 bits are one image, "
        "saved or shrunk again, and are removed across a split. 0: equal hashes only.",
    )
    documents: Literal["apart", "shared"] = Field(
        default="apart",
        description="apart: no answer of one split resembles one of another; shared: only the queries are kept apart, "
        "for many queries over few rows, as in clicks.",
    )

    @model_validator(mode="after")
    def _time_has_shares(self) -> Split:
        if self.by_time and isinstance(self.validation, list):
            raise ValueError("by_time: goes with shares, not with names of groups; expected validation: 0.1, test: 0.1")
        return self
