"""Chunking: how a long text gets several vectors, and how those make one score of its row."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from vector_assets.spec.base import Spec

#: When size is left out. One character is at most one token of a WordPiece encoder, so 200 of them always fit into the
#: packaged one's 256 tokens; 1,000 characters of English are some 220 tokens, 700 of code as many. By tokens it is
#: tokens.
CHUNK_SIZES = {"sentence": 200, "window": 1000, "paragraph": 1000, "tokens": 128, "markdown": 1000, "code": 700}
LEAST_SIZE, LEAST_TOKENS = 20, 8
#: Keys that only some kinds read.
_OVERLAPS = ("sentence", "paragraph", "tokens")
_READ_BY = {
    "overlap": _OVERLAPS, "sentences": ("window",), "stride": ("window",),
    "splitter": ("sentence", "window", "paragraph"),
}  # fmt: skip


class Chunking(Spec):
    """How a long text is cut into chunks, each with a vector of its own, and how they make the score of their row."""

    by: Literal["none", "sentence", "window", "paragraph", "tokens", "markdown", "code"] = Field(
        default="none",
        description="sentence packs whole sentences of one paragraph up to the size; window slides over the sentences "
        "of a paragraph; paragraph keeps each paragraph in one piece and cuts only longer ones at sentences; tokens "
        "counts the encoder's own; markdown makes each section a chunk, code each function and class.",
    )
    size: int | None = Field(
        default=None,
        ge=LEAST_TOKENS,
        le=100_000,
        description="No chunk is longer, in characters (20 at least): 200 by sentence, 700 by code, 1000 by window, "
        "paragraph and markdown when left out; by tokens in tokens without special ones, 128 when left out. "
        "What an encoder cuts off all the same, because it is over its own limit of tokens, is counted as truncated.",
    )
    overlap: int = Field(
        default=0,
        ge=0,
        description="At most this much before a chunk is said again at its start, in whole words: by sentence and "
        "paragraph characters of the same paragraph, by tokens tokens; half the size at most.",
    )
    sentences: int | None = Field(
        default=None, ge=1, le=20, description="Of a window, 3 when left out; fewer where they would be over the size."
    )
    stride: int | None = Field(
        default=None,
        ge=1,
        le=20,
        description="Sentences from the start of a window to the start of the next, 1 when left out.",
    )
    splitter: Literal["rules", "spacy"] | None = Field(
        default=None,
        description="What finds the ends of sentences: rules of our own when left out, or spaCy's, of a blank pipeline "
        "without a model; that needs vector-assets[spacy].",
    )
    language: str | None = Field(
        default=None,
        pattern=r"^[a-z]{2,8}$",
        description="Of code: python, also when left out. What cannot be parsed is cut by paragraphs, and its rows are "
        "counted as unparsed. With splitter: spacy the code of a language that it knows, such as en or de; xx for any.",
    )
    roll_up: Literal["max", "mean"] = Field(
        default="max",
        description="A row's score is that of its best chunk, or the mean of its best ones (see top). It is a matter "
        "of the question: another one encodes nothing and makes no generation.",
    )
    top: int | None = Field(
        default=None,
        ge=2,
        le=100,
        description="With roll_up: mean, of how many chunks, 3 when left out. A row with fewer has the mean of all it "
        "has: a missing one counted as 0 would rank every short text below all long ones.",
    )

    @property
    def limit(self) -> int:
        """The size, or what it is when left out; 0 without chunks."""
        return self.size or CHUNK_SIZES.get(self.by, 0)

    @property
    def window(self) -> int:
        """Sentences of a window."""
        return self.sentences or 3

    @property
    def step(self) -> int:
        """Sentences from one window to the next."""
        return self.stride or 1

    @property
    def best(self) -> int:
        """Of how many of its best chunks a row's score is the mean."""
        return 1 if self.roll_up == "max" else self.top or 3

    @model_validator(mode="after")
    def _fits(self) -> Chunking:
        if self.by == "none":
            given = next((name for name in type(self).model_fields if name != "by" and _is_set(self, name)), None)
            if given:
                raise ValueError(f"{given}: stands without by; expected by: sentence, paragraph or the like beside it")
            return self
        for name, kinds in _READ_BY.items():
            if _is_set(self, name) and self.by not in kinds:
                raise ValueError(f"{name}: is not read by {self.by}; expected it with by: {' or '.join(kinds)}")
        self._reads_language()
        if self.by != "tokens" and self.limit < LEAST_SIZE:
            raise ValueError(f"size: found {self.limit}; expected at least {LEAST_SIZE} characters")
        if self.overlap > self.limit // 2:
            raise ValueError(f"overlap: found {self.overlap}; expected at most half the size of {self.limit}")
        if self.step > self.window:
            raise ValueError(f"stride: found {self.step}, more than the {self.window} sentences of a window; expected "
                             "no more, or some would be in none")  # fmt: skip
        if self.top is not None and self.roll_up != "mean":
            raise ValueError("top: stands without roll_up: mean; expected it beside it")
        return self

    def _reads_language(self) -> None:
        """Raise ValueError where the language is not one that the kind can cut."""
        if self.splitter == "spacy":
            if self.language is None:
                raise ValueError("language: stands not beside splitter: spacy; expected a code, such as en or de")
        elif self.by == "code":
            if self.language not in (None, "python"):
                raise ValueError(f"language: found {self.language}; expected python, the one that code is cut of")
        elif self.language is not None:
            raise ValueError(f"language: is not read by {self.by}; expected it with by: code or splitter: spacy")


def _is_set(chunk: Chunking, name: str) -> bool:
    return bool(getattr(chunk, name) != Chunking.model_fields[name].default)
