"""Any layer, or a mix of all, as the output: the same vectors in both engines and in sentence-transformers."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError
from tiny import make_tiny_bert

from vector_assets.encoder import ContractSettings, TextEncoder, check_canaries, make_checkpoint, read_contract, require
from vector_assets.encoder.layers import Layer, count_layers
from vector_assets.encoder.text.layers import mix_weights
from vector_assets.errors import EncoderError
from vector_assets.records import Checkpoint, Vectors
from vector_assets.spec import TextSpace

TEXTS = ["a1 b2 c3", "d4", "e5 f6 g7 h8 a1", "b2 b2"]


def _stored(source: Path, root: Path, layer: Layer | None) -> Checkpoint:
    return make_checkpoint(source, root, settings=ContractSettings(layer=layer))


def _states(source: Path) -> list[Vectors]:
    """What transformers itself gives after the embeddings and after each layer: mean of tokens, length 1."""
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    model = AutoModel.from_pretrained(source, add_pooling_layer=False).eval()
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    found = []
    with torch.no_grad():
        for text in TEXTS:
            ids = torch.tensor([tokenizer.encode(text).ids])
            found.append([state[0].mean(0).numpy() for state in model(ids, output_hidden_states=True).hidden_states])
    return [np.array(vectors) for vectors in zip(*found, strict=True)]


def _unit(vectors: Vectors) -> Vectors:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _in_all_engines(stored: Checkpoint, wanted: Vectors) -> None:
    from sentence_transformers import SentenceTransformer

    for engine in ("packed", "plain"):
        encoder = TextEncoder(stored.folder, precision="full", engine=engine)  # type: ignore[arg-type]
        assert np.abs(encoder.encode_documents(TEXTS).vectors - wanted).max() < 1e-5, engine
    chosen = TextEncoder(stored.folder, precision="full")
    assert chosen.engine == "packed"
    require(check_canaries(chosen, stored.canaries))
    model = SentenceTransformer(str(stored.folder), device="cpu")
    assert np.abs(model.encode(TEXTS, normalize_embeddings=True) - wanted).max() < 1e-5


@pytest.mark.parametrize(("asked", "counted"), [(1, 1), (2, 2), (-3, 1), (-2, 2)])
def test_a_layer_is_what_the_whole_model_gives_there(
    tiny_source: Path, tmp_path: Path, asked: int, counted: int
) -> None:
    stored = _stored(tiny_source, tmp_path, asked)
    assert read_contract(stored.folder).layer == stored.contract["layer"] == counted
    _in_all_engines(stored, _unit(_states(tiny_source)[counted]))


def test_the_layers_above_are_neither_stored_nor_computed(tiny_source: Path, tmp_path: Path) -> None:
    from safetensors import safe_open

    from vector_assets.encoder.text import packed

    stored = _stored(tiny_source, tmp_path, 1)
    with safe_open(stored.folder / "model.safetensors", framework="pt") as file:
        layers = {int(found[1]) for name in file.keys() if (found := re.search(r"layer\.(\d+)\.", name))}  # noqa: SIM118
    assert layers == {0}
    whole, cut = (
        (tiny_source / "model.safetensors").stat().st_size,
        (stored.folder / "model.safetensors").stat().st_size,
    )
    assert cut < whole
    ran = []
    call = packed._Layer.__call__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packed._Layer, "__call__", lambda self, *given: ran.append(1) or call(self, *given))
        TextEncoder(stored.folder, precision="full", engine="packed").encode_queries(["a1"])
    assert len(ran) == 1


def test_the_last_layer_is_the_encoder_itself(tiny_source: Path, tmp_path: Path) -> None:
    found = {asked: _stored(tiny_source, tmp_path, asked).digest for asked in (None, 3, -1)}
    assert len(set(found.values())) == 1 and read_contract(tmp_path / found[3]).layer == -1


def test_a_stored_layer_stays_what_it_is(tiny_source: Path, tmp_path: Path) -> None:
    stored = _stored(tiny_source, tmp_path, 2)
    for layer in (None, 2, -1):
        assert _stored(stored.folder, tmp_path, layer) == stored
    deeper = _stored(stored.folder, tmp_path, 1)
    assert deeper.contract["layer"] == 1 and deeper.digest == _stored(tiny_source, tmp_path, 1).digest
    with pytest.raises(EncoderError, match="layer 3 is asked for and the encoder has 2 layers"):
        _stored(stored.folder, tmp_path, 3)


@pytest.mark.parametrize("asked", [4, -4, 99])
def test_a_layer_that_is_not_there_is_refused(tiny_source: Path, tmp_path: Path, asked: int) -> None:
    with pytest.raises(EncoderError, match=f"layer {asked} is asked for and the encoder has 3 layers; expected 1 to 3"):
        _stored(tiny_source, tmp_path, asked)
    assert list(tmp_path.iterdir()) == []


def test_a_mix_is_the_mean_of_all_layers_until_it_has_learned(tiny_source: Path, tmp_path: Path) -> None:
    stored = _stored(tiny_source, tmp_path, "mix")
    assert stored.contract["layer"] == "mix" and mix_weights(stored.folder) == pytest.approx([0.25] * 4)
    _in_all_engines(stored, _unit(np.mean(_states(tiny_source), axis=0)))
    assert _stored(stored.folder, tmp_path, "mix") == _stored(stored.folder, tmp_path, None) == stored
    with pytest.raises(EncoderError, match="layer 2 of an encoder that is a mix of layers; leave layer out"):
        _stored(stored.folder, tmp_path, 2)


def test_learned_weights_of_a_mix_are_part_of_the_digest_and_of_the_vectors(tiny_source: Path, tmp_path: Path) -> None:
    import torch

    stored = _stored(tiny_source, tmp_path, "mix")
    weights = [0.1, 0.6, 0.05, 0.25]
    learned = make_checkpoint(stored.folder, tmp_path, weights={"layer_weights": torch.tensor(weights)})
    assert learned.digest != stored.digest and mix_weights(learned.folder) == pytest.approx(weights)
    wanted = sum(weight * state for weight, state in zip(weights, _states(tiny_source), strict=True))
    _in_all_engines(learned, _unit(np.asarray(wanted)))
    same = [(one.folder / "model.safetensors").read_bytes() for one in (learned, stored)]
    assert same[0] == same[1]  # the transformer's own are untouched


def test_a_mix_that_begins_above_the_embeddings_gives_those_below_nothing(tmp_path: Path) -> None:
    """Other people's models may leave lower layers out, and their weights need not sum to 1."""
    from safetensors.numpy import save_file

    (tmp_path / "1_Mix").mkdir()
    modules = [{"path": "1_Mix", "type": "sentence_transformers.models.WeightedLayerPooling"}]
    (tmp_path / "modules.json").write_text(json.dumps(modules))
    (tmp_path / "1_Mix" / "config.json").write_text(json.dumps({"layer_start": 2}))
    save_file({"layer_weights": np.array([1, 3], np.float32)}, tmp_path / "1_Mix" / "model.safetensors")
    assert mix_weights(tmp_path) == [0, 0, 0.25, 0.75]


def test_a_mix_of_a_folder_without_modules_and_with_cls(tiny_source: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    shutil.copytree(tiny_source, plain)
    (plain / "modules.json").unlink()
    shutil.rmtree(plain / "1_Pooling")
    stored = _stored(plain, tmp_path / "stored", "mix")
    _in_all_engines(stored, _unit(np.mean(_states(plain), axis=0)))
    cls = _stored(make_tiny_bert(tmp_path / "cls", pooling="cls"), tmp_path / "stored", "mix")
    found = [
        TextEncoder(cls.folder, precision="full", engine=engine).encode_queries(TEXTS)  # type: ignore[arg-type]
        for engine in ("packed", "plain")
    ]
    assert cls.contract["pooling"] == "cls" and np.abs(found[0] - found[1]).max() < 1e-5


@pytest.mark.parametrize("family", ["distilbert", "mpnet"])
@pytest.mark.parametrize("layer", [1, "mix"])
def test_other_families_give_what_their_library_gives(
    tiny_source: Path, tmp_path: Path, family: str, layer: Layer
) -> None:
    import torch
    from transformers import AutoConfig, AutoModel

    source = tmp_path / "source"
    shutil.copytree(tiny_source, source)
    words = len(json.loads((source / "tokenizer.json").read_text())["model"]["vocab"])
    shape = (
        {"dim": 32, "n_layers": 3, "n_heads": 4, "hidden_dim": 64}
        if family == "distilbert"
        else {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 64}
    )
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, vocab_size=words, max_position_embeddings=64, **shape)
    AutoModel.from_config(config).save_pretrained(source)
    stored = _stored(source, tmp_path / "stored", layer)
    states = _other_states(source)
    wanted = _unit(np.mean(states, axis=0) if layer == "mix" else states[1])
    encoder = TextEncoder(stored.folder, precision="full")
    assert encoder.engine == "plain" and np.abs(encoder.encode_queries(TEXTS) - wanted).max() < 1e-5


def _other_states(source: Path) -> list[Vectors]:
    import torch
    from tokenizers import Tokenizer
    from transformers import AutoModel

    model = AutoModel.from_pretrained(source).eval()
    tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
    with torch.no_grad():
        found = [model(torch.tensor([tokenizer.encode(text).ids]), output_hidden_states=True) for text in TEXTS]
    return [
        np.array([one.hidden_states[place][0].mean(0).numpy() for one in found])
        for place in range(len(found[0].hidden_states))
    ]


def test_a_family_whose_layers_cannot_be_chosen_is_refused() -> None:
    with pytest.raises(EncoderError, match="of type t5 cannot be chosen; expected one of distilbert, bert"):
        count_layers({"model_type": "t5", "num_layers": 6}, of="folder")


@pytest.mark.parametrize("layer", [0, "last", 2.5])
def test_what_is_no_layer_is_refused_by_the_declaration(layer: object) -> None:
    with pytest.raises(ValidationError):
        TextSpace.model_validate({"fields": ["title"], "layer": layer})
    assert TextSpace.model_validate({"fields": ["title"], "layer": "mix"}).layer == "mix"


def test_a_provider_has_no_layers() -> None:
    with pytest.raises(ValidationError, match="layer: provider:tiny is computed by a provider; leave it out"):
        TextSpace.model_validate({"fields": ["title"], "encoder": "provider:tiny", "layer": 2})
