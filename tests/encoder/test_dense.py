"""Linear steps behind the pooling: read alike by sentence-transformers and by every engine of ours."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file
from sentence_transformers import SentenceTransformer
from tiny import make_tiny_bert

from vector_assets.encoder import ContractSettings, TextEncoder, make_checkpoint
from vector_assets.encoder.contract import derive_contract
from vector_assets.encoder.intact import require_intact
from vector_assets.encoder.text.packed import is_packable
from vector_assets.records import Vectors

TEXTS = ["a1 b2 c3", "d4", "a1 a2 a3 a4 e5 f6"]


def turned(dims: int, width: int = 32, seed: int = 0) -> Vectors:
    """A map onto orthonormal directions."""
    found = np.linalg.qr(np.random.default_rng(seed).standard_normal((width, dims)))[0].T
    return np.ascontiguousarray(found, np.float32)


def add_dense(folder: Path, kind: str) -> None:
    """Give a tiny model a Dense of its own before its Normalize, 32 to 12, with bias."""
    generator = np.random.default_rng(3)
    modules = json.loads((folder / "modules.json").read_text())
    modules.insert(2, {"path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    for place, module in enumerate(modules):
        module |= {"idx": place, "name": str(place)}
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "2_Dense").mkdir()
    stated = {"in_features": 32, "out_features": 12, "bias": True, "activation_function": kind}
    (folder / "2_Dense" / "config.json").write_text(json.dumps(stated))
    weight, bias = generator.standard_normal((12, 32)), generator.standard_normal(12)
    save_file(
        {"linear.weight": weight.astype(np.float32), "linear.bias": bias.astype(np.float32)},
        folder / "2_Dense" / "model.safetensors",
        metadata={"format": "pt"},
    )


def require_alike(folder: Path, *, engines: tuple[str, ...] = ("plain", "packed")) -> Vectors:
    """The library's vectors, which each engine gives to 1e-5."""
    wanted: Vectors = SentenceTransformer(str(folder), device="cpu").encode(TEXTS, normalize_embeddings=False)
    assert np.linalg.norm(wanted, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    for engine in engines:
        encoder = TextEncoder(folder, precision="full", engine=engine)  # type: ignore[arg-type]
        np.testing.assert_allclose(encoder.encode_documents(TEXTS).vectors, wanted, atol=1e-5)
        np.testing.assert_allclose(encoder.encode_queries(TEXTS), wanted, atol=1e-5)
    return wanted


@pytest.mark.parametrize("layer", [None, 2, "mix"])
@pytest.mark.parametrize("pooling", ["mean", "cls"])
def test_all_engines_and_the_library_read_the_same_vectors(tmp_path: Path, layer: object, pooling: str) -> None:
    source = make_tiny_bert(tmp_path / "model", pooling=pooling)
    whole = make_checkpoint(source, tmp_path, settings=ContractSettings(layer=layer))  # type: ignore[arg-type]
    weight = turned(8)
    found = make_checkpoint(whole.folder, tmp_path, linear=weight)
    require_intact(found)
    assert (found.contract["dims"], derive_contract(found.folder).dims, found.contract["layer"]) == (
        8, 8, whole.contract["layer"],
    )  # fmt: skip
    vectors = TextEncoder(whole.folder, precision="full").encode_documents(TEXTS).vectors @ weight.T
    wanted = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(require_alike(found.folder), wanted, atol=1e-5)
    assert TextEncoder(found.folder).engine == "packed", "and gives the stored canaries"
    assert all(len(canary.vector) == 8 for canary in found.canaries)


@pytest.mark.parametrize(
    ("activation", "packable"),
    [("torch.nn.modules.linear.Identity", True), ("torch.nn.modules.activation.Tanh", False), (None, False)],
)
def test_a_model_with_a_dense_of_its_own_is_reduced_behind_it(
    tmp_path: Path, activation: str | None, packable: bool
) -> None:
    """One with an activation, which tanh is where none is stated, is the plain engine's."""
    source = make_tiny_bert(tmp_path / "model")
    add_dense(source, activation or "torch.nn.modules.activation.Tanh")
    if activation is None:
        stated = json.loads((source / "2_Dense" / "config.json").read_text())
        del stated["activation_function"]
        (source / "2_Dense" / "config.json").write_text(json.dumps(stated))
    whole = make_checkpoint(source, tmp_path)
    engines = ("plain", "packed") if packable else ("plain",)
    before = require_alike(whole.folder, engines=engines)
    assert before.shape == (3, 12)
    weight = turned(5, 12)
    found = make_checkpoint(whole.folder, tmp_path, linear=weight)
    wanted = before @ weight.T
    after = require_alike(found.folder, engines=engines)
    np.testing.assert_allclose(after, wanted / np.linalg.norm(wanted, axis=1, keepdims=True), atol=1e-5)
    assert is_packable(whole.folder) is is_packable(found.folder) is packable
    assert TextEncoder(found.folder).engine == engines[-1]


def test_a_model_without_modules_of_its_own_gets_them(tmp_path: Path) -> None:
    source = make_tiny_bert(tmp_path / "model")
    (source / "modules.json").unlink()
    found = make_checkpoint(source, tmp_path, linear=turned(6))
    kinds = [module["type"].rpartition(".")[2] for module in json.loads((found.folder / "modules.json").read_text())]
    assert kinds == ["Transformer", "Pooling", "Dense", "Normalize"]
    assert require_alike(found.folder).shape == (3, 6)


def test_what_is_damaged_is_named(tmp_path: Path) -> None:
    found = make_checkpoint(make_tiny_bert(tmp_path / "model"), tmp_path, linear=turned(6))
    (path,) = found.folder.glob("*_Dense/model.safetensors")
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(Exception, match=r"2_Dense/model.safetensors"):
        require_intact(found)
