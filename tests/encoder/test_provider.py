"""An encoder behind an endpoint: whose fault a failure is, what is asked again, and where the key goes."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from fakes import Declare, Execute, KeywordEncoder
from provider_server import KEY, Provider, serving

from vector_assets.embedding.run import run_embeddings
from vector_assets.encoder.canaries import check_canaries
from vector_assets.encoder.contract import ContractSettings
from vector_assets.encoder.open import open_encoder, store_untrained
from vector_assets.encoder.provider.endpoint import Endpoint, retry_after
from vector_assets.encoder.resolve import resolve_encoder
from vector_assets.errors import CanaryMismatch, EncoderError, ProviderBusy, SpecError
from vector_assets.records import Checkpoint
from vector_assets.spec.load import load_text
from vector_assets.stores.collection import CollectionStore
from vector_assets.stores.training import settle_encoder
from vector_assets.stores.workspace import Workspace, checked_encoder


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[Provider]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with serving() as provider:
        monkeypatch.setenv("VECTOR_ASSETS_PROVIDER_URL", provider.url)
        monkeypatch.setenv("VECTOR_ASSETS_PROVIDER_KEY", KEY)
        yield provider


@pytest.fixture
def checkpoint(provider: Provider, tmp_path: Path) -> Checkpoint:
    made = store_untrained("provider:tiny", tmp_path / "checkpoints", folder=tmp_path)
    provider.asked.clear()
    return made


def test_a_checkpoint_has_a_contract_and_canaries_and_no_secret(
    provider: Provider, checkpoint: Checkpoint, tmp_path: Path
) -> None:
    assert (checkpoint.contract["kind"], checkpoint.contract["dims"]) == ("provider", 5)
    assert len(checkpoint.canaries) == 16
    assert set(provider.keys) == {f"Bearer {KEY}"}
    files = sorted(path.name for path in checkpoint.folder.iterdir())
    assert files == ["canaries.json", "checkpoint_files.json", "contract.json", "provider.json"]
    texts = "".join(path.read_text() for path in checkpoint.folder.iterdir())
    assert KEY not in texts and "127.0.0.1" not in texts
    again = store_untrained("provider:tiny", tmp_path / "checkpoints", folder=tmp_path)
    assert (again.digest, again.folder) == (checkpoint.digest, checkpoint.folder)
    prefixed = store_untrained(
        "provider:tiny", tmp_path / "checkpoints", folder=tmp_path, settings=ContractSettings(query_prefix="query: ")
    )
    assert prefixed.digest != checkpoint.digest
    open_encoder(prefixed.folder).encode_queries(["cat"])
    assert provider.asked[-1] == ["query: cat"]


def test_vectors_are_unit_length_in_the_order_of_the_texts(provider: Provider, checkpoint: Checkpoint) -> None:
    encoder = open_encoder(checkpoint.folder)
    texts = ["fish", "cat", "owl", "cat", "nothing"]
    encoded = encoder.encode_documents(texts)
    np.testing.assert_allclose(encoded.vectors, KeywordEncoder().encode_queries(texts), atol=1e-7)
    assert encoded.tokens == 8, "a text that stands twice is asked for once"
    assert check_canaries(encoder, checkpoint.canaries).passed


def test_requests_are_bounded_by_texts_and_characters(provider: Provider, checkpoint: Checkpoint) -> None:
    encoder = open_encoder(checkpoint.folder)
    encoder.encode_documents([f"cat {i}" for i in range(150)])
    assert [len(texts) for texts in provider.asked] == [64, 64, 22]
    provider.asked.clear()
    encoder.encode_documents([f"{i} " + "cat " * 20_000 for i in range(5)])
    assert [len(texts) for texts in provider.asked] == [2, 2, 1]


@pytest.mark.parametrize("code", [408, 429, 500, 502, 503, 529])
def test_a_busy_provider_is_no_rows_fault(provider: Provider, checkpoint: Checkpoint, code: int) -> None:
    encoder = open_encoder(checkpoint.folder)
    provider.fail(code, headers={"Retry-After": "7"}, body=f"slow down, {KEY}")
    with pytest.raises(ProviderBusy, match=rf"answers {code}: slow down, \*\*\*") as caught:
        encoder.encode_documents(["cat"])
    assert caught.value.retry_after == 7.0
    assert encoder.encode_documents(["cat"]).vectors.shape == (1, 5)


def test_a_provider_that_cannot_be_reached_or_does_not_answer_is_busy(
    provider: Provider, checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vector_assets.encoder.provider.endpoint._TIMEOUT_SECONDS", 0.2)
    slow = open_encoder(checkpoint.folder)
    provider.slow = 0.5
    with pytest.raises(ProviderBusy, match="does not answer") as caught:
        slow.encode_documents(["cat"])
    assert caught.value.retry_after is None
    monkeypatch.setenv("VECTOR_ASSETS_PROVIDER_URL", "http://127.0.0.1:9/v1")
    with pytest.raises(ProviderBusy, match=r"127.0.0.1:9 cannot be reached"):
        open_encoder(checkpoint.folder).encode_documents(["cat"])


def test_what_was_answered_before_a_429_is_not_asked_for_again(provider: Provider, checkpoint: Checkpoint) -> None:
    encoder = open_encoder(checkpoint.folder)
    texts = [f"cat {i}" for i in range(150)]
    answer = provider.answer

    def third_is_busy(asked: list[str]) -> tuple[int, dict[str, str], str]:
        return (429, {}, "") if len(provider.asked) == 3 else answer(asked)

    provider.answer = third_is_busy  # type: ignore[method-assign]
    with pytest.raises(ProviderBusy):
        encoder.encode_documents(texts)
    encoder.encode_documents(texts)
    assert [len(texts) for texts in provider.asked] == [64, 64, 22, 22]
    encoder.encode_documents(["cat 1"])
    assert provider.asked[-1] == ["cat 1"], "what was given out is forgotten"


@pytest.mark.parametrize(("text", "reason"), [("refused", "answers 400: .*not allowed"), ("no number", "not finite")])
def test_one_input_that_is_refused_is_its_rows_fault(
    provider: Provider, checkpoint: Checkpoint, text: str, reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        open_encoder(checkpoint.folder).encode_documents(["cat", text])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (401, "refuses the key; set VECTOR_ASSETS_PROVIDER_KEY"),
        (403, "refuses the key"),
        (404, "no model tiny, or no /embeddings below VECTOR_ASSETS_PROVIDER_URL"),
        (302, "which is no answer of an OpenAI-compatible"),
    ],
)
def test_what_no_patience_mends_ends_the_run_with_one_line(
    provider: Provider, checkpoint: Checkpoint, code: int, said: str
) -> None:
    encoder = open_encoder(checkpoint.folder)
    for ask in (encoder.encode_documents, encoder.encode_queries):
        provider.fail(code, headers={"Location": "http://127.0.0.1:9/"}, body=f"no, {KEY}")
        with pytest.raises(EncoderError, match=said) as caught:
            ask(["cat"])
        assert KEY not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"data": []}', '{"data": [{"index": 1, "embedding": [1]}]}'])
def test_an_answer_of_another_kind_is_refused(provider: Provider, checkpoint: Checkpoint, body: str) -> None:
    provider.body = body
    with pytest.raises(EncoderError, match="something else than 1 vectors"):
        open_encoder(checkpoint.folder).encode_documents(["cat"])


def test_another_model_behind_the_name_is_found_by_canaries_and_width(
    provider: Provider, checkpoint: Checkpoint
) -> None:
    provider.encoder = KeywordEncoder(words=("mug", "cat", "dog", "roof"))
    with pytest.raises(CanaryMismatch):
        checked_encoder(checkpoint)
    provider.encoder = KeywordEncoder(width=9)
    with pytest.raises(EncoderError, match="gives vectors of 9 dims, expected the 5 of the checkpoint"):
        open_encoder(checkpoint.folder).encode_documents(["cat"])


def test_a_question_waits_a_little_for_a_busy_provider(provider: Provider, checkpoint: Checkpoint) -> None:
    encoder = open_encoder(checkpoint.folder)
    provider.fail(429, 503)
    assert encoder.encode_queries(["cat"]).shape == (1, 5)
    provider.fail(429, 429, 429)
    with pytest.raises(ProviderBusy):
        encoder.encode_queries(["cat"])
    with pytest.raises(EncoderError, match="answers 400"):
        encoder.encode_queries(["refused"])


def test_making_a_checkpoint_waits_as_well(provider: Provider, tmp_path: Path) -> None:
    provider.fail(429, 500, 503)
    assert store_untrained("provider:tiny", tmp_path, folder=tmp_path).contract["dims"] == 5
    provider.fail(400, body="bad model")
    with pytest.raises(EncoderError, match=r"provider:tiny: the provider at .* answers 400: bad model"):
        store_untrained("provider:tiny", tmp_path, folder=tmp_path)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "VECTOR_ASSETS_PROVIDER_URL is not set"),
        ("host/v1", "is no address; expected https://host/v1"),
        ("ftp://host/v1", "is no address"),
        ("file:///etc/passwd", "is no address"),
        ("https://me:hush@host/v1", "holds a user or password"),
    ],
)
def test_a_wrong_address_is_one_line_without_secrets(monkeypatch: pytest.MonkeyPatch, url: str, said: str) -> None:
    monkeypatch.setenv("VECTOR_ASSETS_PROVIDER_URL", url)
    with pytest.raises(EncoderError, match=said) as caught:
        Endpoint.from_environment()
    assert "hush" not in str(caught.value)


def test_the_path_of_the_address_is_kept_and_so_is_its_query(monkeypatch: pytest.MonkeyPatch) -> None:
    endpoint = Endpoint("https://host/openai/v1/?api-version=3", None)
    assert str(endpoint._url) == "https://host/openai/v1/embeddings?api-version=3"


@pytest.mark.parametrize(
    ("value", "seconds"), [(None, None), ("", None), ("2", 2.0), ("0.5", 0.5), ("-1", 0.0), ("soon", None)]
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    assert retry_after(value) == seconds


def test_retry_after_as_a_date() -> None:
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert (retry_after("Wed, 21 Oct 2099 07:28:00 GMT") or 0) > 1e9


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ("train: {pairs: pairs.jsonl}", r":7: spaces.text.train: provider:tiny is computed by a provider and cannot"),
        ("max_tokens: 64", r":7: spaces.text.max_tokens: provider:tiny is cut by its provider"),
    ],
)
def test_training_and_limits_are_refused_with_their_line(extra: str, said: str, tmp_path: Path) -> None:
    declared = (
        "type: vector_assets.CollectionComponent\nattributes:\n  name: papers\n"
        "  source: {kind: postgres, table: papers}\n  fields: {title: text}\n"
        f"  spaces:\n    text: {{fields: [title], encoder: 'provider:tiny', {extra}}}\n"
    )
    with pytest.raises(SpecError, match=said):
        load_text(declared, "defs.yaml", tmp_path)
    with pytest.raises(EncoderError, match="no model folder to train"):
        resolve_encoder("provider:tiny", folder=tmp_path)


@pytest.mark.parametrize("name", ["provider:", "provider:a b", "provider:../x y"])
def test_a_wrong_name_is_refused(provider: Provider, tmp_path: Path, name: str) -> None:
    with pytest.raises(EncoderError, match="expected provider:MODEL"):
        store_untrained(name, tmp_path, folder=tmp_path)


def test_a_collection_through_a_provider_that_fails_on_the_way(
    provider: Provider, in_workspace: Workspace, declare: Declare, animals: Callable[[int], None], execute: Execute,
    name: str, caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """Encoder asset, embeddings and search by the real stores; 429 and 500 charge no row, a refused text its own."""
    caplog.set_level(logging.DEBUG)
    animals(100)
    execute(f"update {name} set title = 'refused' where id = 7")
    collection = declare(spaces={"text": {"fields": ["title", "body"], "encoder": "provider:tiny"}})
    settled = settle_encoder(in_workspace, collection, "text", tags={})
    assert settled.registered.version
    store = CollectionStore(in_workspace, collection)
    provider.asked.clear()
    answer = provider.answer

    def answer_in_turn(asked: list[str]) -> tuple[int, dict[str, str], str]:
        faults = {3: (429, {"Retry-After": "0"}, ""), 5: (500, {}, "")}  # after the canaries
        return faults.get(len(provider.asked)) or answer(asked)

    provider.answer = answer_in_turn  # type: ignore[method-assign]
    for _ in range(5):
        try:
            run_embeddings(collection, store.layout(), store, store.encoders)
            break
        except ProviderBusy:  # who waits is the pipeline's business
            assert in_workspace.failures.list(name) == ()
    (failure,) = in_workspace.failures.list(name)
    assert (failure.row_key, failure.attempts) == ("[7]", 1)
    assert "answers 400" in failure.error
    generation = store.all()[0]
    states = dict(execute(f'select state, count(*) from embedding."{generation.table}_rows" group by 1'))  # type: ignore[arg-type]
    assert states == {"done": 99, "failed": 1}
    store.swap(generation, because="a test")
    hits = in_workspace.search(name).search("owl", k=3)
    assert [hit.row["title"].split()[0] for hit in hits.hits] == ["owl"] * 3  # type: ignore[union-attr]
    assert KEY not in caplog.text
