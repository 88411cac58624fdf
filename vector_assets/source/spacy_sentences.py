"""Where sentences end, by spaCy: a blank pipeline with its rule-based ``sentencizer``, so that no model is needed.

What it knows beside our own rules are the tokens of its languages, abbreviations among them, and the marks that end
sentences in many scripts.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any

from vector_assets.errors import SpecError
from vector_assets.source.cutting import without_space
from vector_assets.source.sentences import Span, sentences

#: Marks at the end of a word are taken off one by one: what is longer without a blank line is cut by our own rules.
LONGEST = 100_000
# Half a character of UTF-16 has no place in spaCy's strings; any other character keeps the offsets.
_HALF = re.compile("[\ud800-\udfff]")


def spacy_sentences(language: str, text: str, start: int, stop: int) -> Iterator[Span]:
    """Yield the sentences of ``text[start:stop]`` in order, without the space around them; together they hold all else.

    Raises SpecError where spaCy is not installed, or has no pipeline for the language.
    """
    pipeline = spacy_pipeline(language)
    if stop - start > LONGEST:
        yield from sentences(text, start, stop)
        return
    with pipeline.memory_zone():  # else every word of every row would be kept
        document = pipeline(_HALF.sub("\ufffd", text[start:stop]))
        found = [(each.start_char, each.end_char) for each in document.sents]
    for first, last in found:
        yield from without_space(text, start + first, start + last)


@cache
def spacy_pipeline(language: str) -> Any:  # noqa: ANN401 - spacy.Language; spaCy is an extra
    """Return the pipeline of a language, made once. Raises SpecError as ``spacy_sentences`` does."""
    try:
        import spacy
    except ImportError:
        raise SpecError("chunk.splitter: spacy needs spaCy; install vector-assets[spacy]") from None
    try:
        pipeline = spacy.blank(language)
    except ImportError as error:
        raise SpecError(
            f"chunk.language: spaCy has no pipeline for {language} here ({str(error).splitlines()[0]}); expected a "
            "code of its languages, such as de"
        ) from None
    pipeline.add_pipe("sentencizer")
    pipeline.max_length = sys.maxsize
    return pipeline
