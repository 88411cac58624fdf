"""Faults that are no row's: memory that runs out, a provider that asks to wait. No Postgres: the pipeline alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import pytest
from fakes import KeywordEncoder

from vector_assets.embedding.encoding import PROBE, Backoff, is_memory_fault
from vector_assets.embedding.pipeline import embed
from vector_assets.errors import EncoderError, ProviderBusy
from vector_assets.records import EmbeddedRow, EmbedReport, Generation, Part, PendingRow


@dataclass
class ListTarget:
    """A sync of rows that stand in a list."""

    rows: list[PendingRow]
    page: int = 512
    unchanged: int = 0
    written: list[EmbeddedRow] = field(default_factory=list)

    @property
    def pending(self) -> int:
        return len(self.rows)

    def remove_gone(self) -> int:
        return 0

    def pages(self) -> Iterator[list[PendingRow]]:
        for start in range(0, len(self.rows), self.page):
            yield self.rows[start : start + self.page]

    def write(self, rows: Sequence[EmbeddedRow]) -> int:
        self.written += rows
        return len(rows)


def run(
    encoder: KeywordEncoder, texts: Sequence[str], backoff: Backoff | None = None
) -> tuple[EmbedReport, ListTarget]:
    part = Part("text", 0, encoder.dims, encoder.digest, ("title",))
    generation = Generation("c", 1, "building", "stamp", (part,), encoder.dims, "vector", (), "cosine")
    target = ListTarget([PendingRow((number,), b"", (b"",), ((text,),)) for number, text in enumerate(texts)])
    return embed(target, generation, lambda: {"text": encoder}, backoff=backoff), target


class OutOfMemoryError(RuntimeError):
    """What torch raises, by its name."""


@dataclass
class SmallMemory(KeywordEncoder):
    """Takes so many texts at once and no more."""

    most: int = 100
    fault: Exception = field(default_factory=MemoryError)
    faults: int = 0
    sizes: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.during = self._take

    def _take(self, texts: Sequence[str]) -> None:
        self.sizes.append(len(texts))
        if len(texts) > self.most:
            self.faults += 1
            raise self.fault


@pytest.mark.parametrize(
    "fault",
    [
        MemoryError(),
        OutOfMemoryError("CUDA"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried"),
    ],
    ids=["python", "torch", "cuda", "cpu"],
)
def test_memory_that_runs_out_halves_the_batch_and_is_remembered(fault: Exception) -> None:
    encoder = SmallMemory(fault=fault)
    report, target = run(encoder, [f"cat {number}" for number in range(2000)])
    assert (report.encoded, report.failed) == (2000, 0)
    assert sorted(row.row.key for row in target.written) == [(number,) for number in range(2000)]
    assert encoder.encoded == [f"cat {number}" for number in range(2000)], "each once, in order"
    assert encoder.faults == 2, "half a page is 256, then 128; from then on what fits is known"
    assert max(encoder.sizes[2:]) == 64


def test_a_bad_text_among_little_memory_is_still_one_row() -> None:
    texts = [f"cat {number}" for number in range(300)]
    texts[123] = "poison"
    encoder = SmallMemory()
    report, target = run(encoder, texts)
    assert (report.encoded, report.failed) == (299, 1)
    (bad,) = [row for row in target.written if row.state == "failed"]
    assert (bad.row.key, bad.error) == ((123,), "ValueError: this text cannot be encoded")
    assert encoder.encoded.count(PROBE) == 2, "before texts are halved, and after one was blamed"


def test_one_text_that_does_not_fit_ends_the_run_and_says_so() -> None:
    with pytest.raises(EncoderError) as caught:
        run(SmallMemory(most=0), ["a cat of some length"])
    assert str(caught.value) == (
        "space text: one text of 20 characters does not fit into memory by itself; declare a smaller max_tokens or "
        "chunk:, or use a machine with more memory"
    )


def test_other_faults_are_not_taken_for_memory() -> None:
    assert not is_memory_fault(RuntimeError("device lost"))
    assert not is_memory_fault(ValueError("out of memory"))


@dataclass
class Provider(KeywordEncoder):
    """Refuses some calls, given by what it asks to be waited for, then takes all."""

    refusals: list[float | None] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.during = self._answer

    def _answer(self, texts: Sequence[str]) -> None:
        self.asked.append(len(texts))
        if self.refusals:
            raise ProviderBusy("429 Too Many Requests", retry_after=self.refusals.pop(0))


def waiting(pauses: list[float], *, jitter: float = 0.0, patience: float = 1800) -> Backoff:
    return Backoff(patience=patience, sleep=pauses.append, jitter=lambda: jitter)


def test_a_busy_provider_is_asked_the_same_again_ever_more_slowly() -> None:
    pauses: list[float] = []
    provider = Provider(refusals=[None] * 8)
    report, _ = run(provider, ["cat", "dog", "owl"], waiting(pauses))
    assert (report.encoded, report.failed) == (3, 0)
    assert provider.asked == [3] * 9, "the batch is not cut: it is not too big"
    assert pauses == [5, 10, 20, 40, 80, 160, 300, 300]


def test_what_the_provider_asks_for_is_waited_for_at_least() -> None:
    pauses: list[float] = []
    run(Provider(refusals=[60.0, 0.0, 1.0]), ["cat"], waiting(pauses, jitter=1.0))
    assert pauses == [75, 12.5, 25]


def test_patience_begins_anew_with_each_batch() -> None:
    pauses: list[float] = []
    encoder = Provider()

    def answer(texts: Sequence[str]) -> None:
        encoder.asked.append(len(texts))
        if len(encoder.asked) % 4:
            raise ProviderBusy

    encoder.during = answer
    report, _ = run(encoder, [f"cat {number}" for number in range(2000)], waiting(pauses, patience=40))
    assert (report.encoded, report.failed) == (2000, 0)
    assert pauses == [5, 10, 20] * 8


def test_patience_ends_with_one_clear_line_and_what_was_done_is_kept() -> None:
    pauses: list[float] = []
    encoder = Provider()
    done = threading.Event()

    def answer(texts: Sequence[str]) -> None:
        if done.is_set():
            raise ProviderBusy("429 Too Many Requests")
        done.set()

    encoder.during = answer
    part = Part("text", 0, encoder.dims, encoder.digest, ("title",))
    generation = Generation("c", 1, "building", "stamp", (part,), encoder.dims, "vector", (), "cosine")
    target = ListTarget([PendingRow((n,), b"", (b"",), ((f"cat {n}",),)) for n in range(1000)])
    with pytest.raises(ProviderBusy) as caught:
        embed(target, generation, lambda: {"text": encoder}, backoff=waiting(pauses, patience=60))
    assert pauses == [5, 10, 20]
    assert str(caught.value) == (
        "space text: 429 Too Many Requests; refused 4 times over 35 s, and would be waited for until 60 s; "
        "what is done is kept, run it again later"
    )
    assert len(target.written) == 256
    assert caught.value.exit_code == 2
