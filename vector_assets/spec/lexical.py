"""BM25 beside the vectors: which fields' words are counted, and how they are cut."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from vector_assets.spec.base import ColumnName, Spec

#: Languages whose Snowball stemmer every Postgres since 15 ships; none leaves words as they are written.
Language = Literal[
    "none", "arabic", "armenian", "basque", "catalan", "danish", "dutch", "english", "finnish", "french", "german",
    "greek", "hindi", "hungarian", "indonesian", "irish", "italian", "lithuanian", "nepali", "norwegian", "portuguese",
    "romanian", "russian", "serbian", "spanish", "swedish", "tamil", "turkish", "yiddish",
]  # fmt: skip


class Lexical(Spec):
    """BM25 over the words of some fields, kept in the sync of the vectors; see docs/lexical.md."""

    fields: list[ColumnName] = Field(min_length=1, description="Text and category fields whose words are counted.")
    language: Language = Field(
        default="english",
        description="The Snowball stemmer that words are cut with; none takes them as they are, in small letters.",
    )
    stop_words: bool = Field(
        default=True, description="Leave out the language's most common words, as Postgres lists them."
    )
    k1: float = Field(
        default=1.2, ge=0, le=10, description="How soon more of the same word counts no more; 0: at once."
    )
    b: float = Field(default=0.75, ge=0, le=1, description="How much a long text counts less; 0: not at all.")


def _from_names(value: object) -> object:
    """``[title, text]`` is short for ``{fields: [title, text]}``."""
    return {"fields": value} if isinstance(value, list | tuple) else value


LexicalFields = Annotated[Lexical, BeforeValidator(_from_names)]
