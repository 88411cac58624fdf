"""Checkpoints: digests, refusals, storing, and what stays of a base when it is trained."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from vector_assets.encoder import (
    Contract,
    ContractSettings,
    check_folder,
    checkpoint_digest,
    differences,
    make_checkpoint,
    read_checkpoint,
    read_contract,
)
from vector_assets.encoder import files as files_module
from vector_assets.encoder.contract import derive_contract, write_contract
from vector_assets.encoder.image.checkpoint import ImageSettings, make_image_checkpoint
from vector_assets.encoder.intact import require_intact
from vector_assets.errors import ContractMismatch, EncoderError
from vector_assets.records import Checkpoint


@pytest.fixture
def source(tiny_source: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(tiny_source, tmp_path / "model"))


def test_importing_the_packages_imports_no_torch() -> None:
    heavy = "{'torch', 'transformers', 'sentence_transformers', 'sklearn', 'matplotlib', 'mlflow', 'dagster'}"
    code = f"import sys, vector_assets.encoder, vector_assets.training; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "set()"


def test_the_digest_is_of_contents_not_of_notes(source: Path, tmp_path: Path) -> None:
    before = checkpoint_digest(source)
    (source / "README.md").write_text("hello")
    (source / ".cache").mkdir()
    (source / ".cache" / "x.json").write_text("{}")
    (source / "canaries.json").write_text("[]")
    assert checkpoint_digest(source) == before
    assert checkpoint_digest(Path(shutil.copytree(source, tmp_path / "elsewhere"))) == before
    (source / "1_Pooling" / "config.json").write_text("{}")
    assert checkpoint_digest(source) != before


def test_one_changed_byte_of_the_weights_changes_the_digest(source: Path) -> None:
    before = checkpoint_digest(source)
    weights = bytearray((source / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (source / "model.safetensors").write_bytes(weights)
    assert checkpoint_digest(source) != before


@pytest.mark.parametrize("name", ["pytorch_model.bin", "weights.pt"])
def test_pickled_weights_are_refused(source: Path, name: str) -> None:
    (source / "model.safetensors").rename(source / name)
    with pytest.raises(EncoderError, match=rf"pickle \({name}\).*convert to safetensors"):
        check_folder(source)


def test_a_pickle_beside_safetensors_is_accepted_and_left_behind(source: Path, tmp_path: Path) -> None:
    (source / "pytorch_model.bin").write_bytes(b"\x80\x04.")
    stored = make_checkpoint(source, tmp_path / "root")
    assert not (stored.folder / "pytorch_model.bin").exists()


def test_a_pickle_inside_a_module_is_refused(source: Path) -> None:
    (source / "2_Dense").mkdir()
    (source / "2_Dense" / "pytorch_model.bin").write_bytes(b"")
    modules = json.loads((source / "modules.json").read_text())
    modules.append({"idx": 3, "name": "3", "path": "2_Dense", "type": "sentence_transformers.models.Dense"})
    (source / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EncoderError, match=r"2_Dense.*pickle"):
        check_folder(source)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("tokenizer.json", "tokenizer.json is missing"),
        ("config.json", "config.json is missing"),
        ("model.safetensors", "no weights"),
    ],
)
def test_missing_files_are_named(source: Path, missing: str, message: str) -> None:
    (source / missing).unlink()
    with pytest.raises(EncoderError, match=message) as caught:
        check_folder(source)
    assert "\n" not in str(caught.value)


def test_code_of_the_model_is_refused(source: Path) -> None:
    modules = json.loads((source / "modules.json").read_text())
    modules[0]["type"] = "evil.Module"
    (source / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EncoderError, match=r"evil\.Module"):
        check_folder(source)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "modeling.X"}}))
    with pytest.raises(EncoderError, match="auto_map"):
        check_folder(source)


def test_modules_outside_of_the_folder_are_refused(source: Path) -> None:
    modules = json.loads((source / "modules.json").read_text())
    modules[1]["path"] = "../elsewhere"
    (source / "modules.json").write_text(json.dumps(modules))
    with pytest.raises(EncoderError, match="outside"):
        check_folder(source)


def test_storing_is_content_addressed_whole_and_repeatable(tiny: Checkpoint, tiny_source: Path) -> None:
    root = tiny.folder.parent
    assert tiny.folder.name == tiny.digest == checkpoint_digest(tiny.folder)
    again = make_checkpoint(tiny_source, root, documents=["other"], queries=["canaries"])
    assert again == tiny  # the first canaries stay: they are what this checkpoint once gave
    assert make_checkpoint(tiny.folder, root) == tiny  # a stored checkpoint is a source too
    assert [path.name for path in root.iterdir()] == [tiny.digest]
    assert read_checkpoint(tiny.folder) == tiny


def test_a_damaged_folder_is_made_again(tiny_source: Path, tmp_path: Path) -> None:
    stored = make_checkpoint(tiny_source, tmp_path)
    (stored.folder / "tokenizer.json").write_text("{}")
    assert make_checkpoint(tiny_source, tmp_path) == stored
    assert checkpoint_digest(stored.folder) == stored.digest


def test_files_that_were_found_intact_are_not_read_again_until_one_is_touched(
    tiny_source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process would else read all weights before a sync in which nothing changed."""
    stored = make_checkpoint(tiny_source, tmp_path / "checkpoints")
    weights = stored.folder / "model.safetensors"
    read: list[Path] = []
    whole = files_module._sha256
    monkeypatch.setattr(files_module, "_sha256", lambda path: (read.append(path), whole(path))[1])

    def as_another_process(*, noted: bool) -> int:
        files_module._known_sha256.cache_clear()
        read.clear()
        require_intact(stored, noted=noted)
        return len(read)

    written = weights.stat().st_ctime
    monkeypatch.setattr(files_module.time, "time", lambda: written)
    assert as_another_process(noted=True) > 3
    assert as_another_process(noted=True) > 3, "so young a file may change again within the clock's tick"
    later = time.time() + 10
    monkeypatch.setattr(files_module.time, "time", lambda: later)
    assert as_another_process(noted=True) > 3
    assert as_another_process(noted=True) == 0
    assert as_another_process(noted=False) > 3, "what is loaded is always read"
    with pytest.raises(ContractMismatch, match="has other files than were stored"):
        require_intact(replace(stored, digest="0" * 64), noted=True)
    before = weights.stat()
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(ContractMismatch, match=r"model.safetensors: expected sha256"):
        as_another_process(noted=True)


def test_trained_tensors_replace_their_own_and_nothing_else(tiny: Checkpoint, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    name = "encoder.layer.2.output.dense.weight"
    before = load_file(tiny.folder / "model.safetensors")
    tuned = make_checkpoint(tiny.folder, tmp_path, weights={name: before[name] + 1})
    after = load_file(tuned.folder / "model.safetensors")
    assert tuned.digest != tiny.digest
    assert differences(read_contract(tuned.folder), read_contract(tiny.folder)) == []
    assert {key for key in before if not before[key].equal(after[key])} == {name}
    with pytest.raises(EncoderError, match="nonsense"):
        make_checkpoint(tiny.folder, tmp_path, weights={"nonsense": before[name]})


def test_sentence_transformers_loads_a_checkpoint_and_encodes_as_we_do(tiny_source: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    from vector_assets.encoder import load_encoder

    settings = ContractSettings(max_tokens=8, query_prefix="b2 ", document_prefix="c3 c4 ")
    stored = make_checkpoint(tiny_source, tmp_path, settings=settings)
    model, encoder = SentenceTransformer(str(stored.folder), device="cpu"), load_encoder(stored.folder)
    texts = ["a1 a2", "A3", " ".join(["h1", "g2", "f3"] * 5)]
    assert np.abs(model.encode_query(texts) - encoder.encode_queries(texts)).max() < 1e-5
    assert np.abs(model.encode_document(texts) - encoder.encode_documents(texts).vectors).max() < 1e-5


def test_contract_round_trip_and_differences(tiny: Checkpoint, tmp_path: Path) -> None:
    contract = read_contract(tiny.folder)
    assert (contract.pooling, contract.dims, contract.max_tokens, contract.lowercase) == ("mean", 32, 32, True)
    write_contract(tmp_path, contract)
    assert read_contract(tmp_path) == contract == Contract.model_validate(tiny.contract)
    other = contract.model_copy(update={"query_prefix": "query: ", "max_tokens": 16})
    assert differences(contract, other) == ["query_prefix: '' != 'query: '", "max_tokens: 32 != 16"]


def test_a_limit_beyond_the_encoders_own_and_a_foreign_contract_are_refused(source: Path) -> None:
    with pytest.raises(EncoderError, match="max_tokens 64 is more than the encoder's own limit of 32"):
        derive_contract(source, ContractSettings(max_tokens=64))
    with pytest.raises(EncoderError, match=r"no contract\.json"):
        read_contract(source)
    (source / "contract.json").write_text(json.dumps({"format": 2}))
    with pytest.raises(EncoderError, match="format"):
        read_contract(source)


def test_the_tokenizers_own_padding_and_cutting_are_no_part_of_its_digest(source: Path) -> None:
    before = derive_contract(source)
    path = source / "tokenizer.json"
    rules = json.loads(path.read_text())
    path.write_text(
        json.dumps(
            rules | {"truncation": {"max_length": 5, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}}
        )
    )
    assert derive_contract(source) == before
    path.write_text(json.dumps(rules | {"normalizer": None}))
    assert [line.split(":")[0] for line in differences(derive_contract(source), before)] == ["tokenizer"]


def test_a_revision_is_another_checkpoint_of_the_same_weights(tiny_source: Path, tmp_path: Path) -> None:
    plain, zero, first = (
        make_checkpoint(tiny_source, tmp_path, settings=ContractSettings(revision=number)) for number in (None, 0, 1)
    )
    assert plain.digest == zero.digest != first.digest
    assert "revision" not in json.loads((plain.folder / "contract.json").read_text()), "digests are what they were"
    before, after = files_module.file_digests(plain.folder), files_module.file_digests(first.folder)
    assert {path for path in after if after[path] != before[path]} == {"contract.json"}
    assert differences(read_contract(plain.folder), read_contract(first.folder)) == ["revision: 0 != 1"]
    assert make_checkpoint(first.folder, tmp_path).digest == first.digest, "what is made of it keeps it"
    later = make_checkpoint(first.folder, tmp_path, settings=ContractSettings(revision=2))
    assert read_contract(later.folder).revision == 2


def test_an_image_encoder_has_revisions_as_well(tiny_vision: Path, tmp_path: Path) -> None:
    plain, first = (
        make_image_checkpoint(tiny_vision, tmp_path, settings=ImageSettings(revision=number)) for number in (None, 1)
    )
    assert plain.digest != first.digest and first.contract["revision"] == 1
    assert make_image_checkpoint(first.folder, tmp_path).digest == first.digest
