"""Vectors of fewer dims: cut in both engines, on both paths, in the contract, refused where there are not so many."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from vector_assets.encoder import ContractSettings, TextEncoder, check_canaries, make_checkpoint, require
from vector_assets.encoder.open import settings_of
from vector_assets.encoder.text.model import EngineName
from vector_assets.errors import EncoderError
from vector_assets.records import Checkpoint
from vector_assets.spec import TextSpace

TEXTS = ["a1 b2 c3", "d4", "e5 f6 g7 h8"]


@pytest.mark.parametrize("engine", ["plain", "packed"])
def test_both_engines_cut_and_scale(engine: EngineName, tiny: Checkpoint, tiny_source: Path, tmp_path: Path) -> None:
    whole = TextEncoder(tiny.folder, engine=engine)
    stored = make_checkpoint(tiny_source, tmp_path, settings=ContractSettings(dims=12))
    first = TextEncoder(stored.folder, engine=engine)
    assert first.dims == 12 and first.engine == engine and first.digest != whole.digest
    pairs = (
        (whole.encode_documents(TEXTS).vectors, first.encode_documents(TEXTS).vectors),
        (whole.encode_queries(TEXTS), first.encode_queries(TEXTS)),
    )
    for all_dims, some in pairs:
        assert some.shape == (3, 12) and np.allclose(np.linalg.norm(some, axis=1), 1, atol=1e-6)
        wanted = all_dims[:, :12] / np.linalg.norm(all_dims[:, :12], axis=1, keepdims=True)
        assert np.allclose(some, wanted, atol=1e-5)


def test_canaries_and_contract_are_of_the_cut_vectors(tiny_source: Path, tmp_path: Path) -> None:
    stored = make_checkpoint(tiny_source, tmp_path, settings=ContractSettings(dims=12))
    assert stored.contract["dims"] == 12
    require(check_canaries(TextEncoder(stored.folder), stored.canaries))
    # What is trained from it, or borrowed, means the same.
    again = make_checkpoint(stored.folder, tmp_path / "again")
    assert again.digest == stored.digest
    wider = make_checkpoint(stored.folder, tmp_path / "wider", settings=ContractSettings(dims=20))
    assert wider.contract["dims"] == 20


def test_more_dims_than_there_are_is_refused(tiny_source: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"dims 33 is more than the 32 that the encoder gives"):
        make_checkpoint(tiny_source, tmp_path, settings=ContractSettings(dims=33))
    whole = make_checkpoint(tiny_source, tmp_path, settings=ContractSettings(dims=32))
    assert whole.digest == make_checkpoint(tiny_source, tmp_path, settings=ContractSettings()).digest
    with pytest.raises(ValidationError, match="as wide as its provider makes it"):
        TextSpace(fields=["text"], encoder="provider:small", dims=64)


def test_a_space_may_have_both_a_layer_and_fewer_dims(tiny_source: Path, tmp_path: Path) -> None:
    space = TextSpace(fields=["text"], encoder="./tiny", dims=12, layer=-2, max_tokens=9, query_prefix="a1 ")
    settings = settings_of(space)
    assert settings == ContractSettings(max_tokens=9, query_prefix="a1 ", dims=12, layer=-2)
    below = make_checkpoint(tiny_source, tmp_path, settings=ContractSettings(layer=-2))
    stored = make_checkpoint(tiny_source, tmp_path, settings=ContractSettings(dims=12, layer=-2))
    assert (stored.contract["dims"], stored.contract["layer"]) == (12, below.contract["layer"])
    both, whole = (TextEncoder(one.folder).encode_documents(TEXTS).vectors for one in (stored, below))
    wanted = whole[:, :12] / np.linalg.norm(whole[:, :12], axis=1, keepdims=True)
    assert np.allclose(both, wanted, atol=1e-5)
