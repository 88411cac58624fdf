"""Checkpoints: content-addressed folders that sentence-transformers loads, with our contract and canaries.

    <root>/<digest>/   model.safetensors, config.json, tokenizer.json, modules.json, 1_Pooling/, …   the model
                       contract.json     what its vectors mean, part of the digest
                       canaries.json     texts with their vectors, not part of it
                       checkpoint_files.json   the sha256 of each file, not part of it: names what was changed

The untrained base and a tuned model are stored alike; a tuned one is its base with some tensors replaced, so what was
frozen stays bit-equal and the tokenizer and configuration stay the same bytes. A reduced one is its base with one more
module.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel

from vector_assets.encoder.canaries import DEFAULT_DOCUMENTS, DEFAULT_QUERIES, make_canaries
from vector_assets.encoder.canary_file import read_canaries, write_canaries
from vector_assets.encoder.contract import (
    Contract,
    ContractSettings,
    derive_contract,
    is_static,
    own_width,
    read_contract,
    read_json,
    write_contract,
)
from vector_assets.encoder.files import check_folder, checkpoint_digest, is_provider, model_files
from vector_assets.encoder.image.contract import read_image_contract
from vector_assets.encoder.image.files import check_image_folder, is_image_checkpoint
from vector_assets.encoder.intact import write_manifest
from vector_assets.encoder.text.dense import add_linear
from vector_assets.encoder.text.layers import take_layer
from vector_assets.encoder.text.model import TextEncoder
from vector_assets.encoder.text.static import limit_tokens
from vector_assets.errors import EncoderError
from vector_assets.records import Checkpoint, Vectors

if TYPE_CHECKING:
    import torch


def make_checkpoint(
    source: Path,
    root: Path,
    *,
    settings: ContractSettings | None = None,
    documents: Sequence[str] = (),
    queries: Sequence[str] = (),
    weights: Mapping[str, torch.Tensor] | None = None,
    linear: Vectors | None = None,
) -> Checkpoint:
    """Store a model folder, with ``weights`` in place of its own tensors of these names, under its digest in ``root``.

    With ``linear`` (dims, width as pooled) vectors are that times the pooled ones, of length 1, and served whole.
    ``documents`` and ``queries`` become canaries (built-in ones when empty). A folder that is there already is reused.
    The folder appears whole or not at all. Raises EncoderError for folders that cannot be loaded or trusted.
    """
    check_folder(source)
    root.mkdir(parents=True, exist_ok=True)
    working = Path(tempfile.mkdtemp(prefix=".making-", dir=root))
    try:
        copy_model(source, working)
        contract = derive_contract(working, settings)
        if settings is not None:
            _state_settings(working, contract)
            if settings.layer is not None:
                take_layer(working, contract.layer)
        if is_static(working):
            limit_tokens(working, contract.max_tokens)
        if weights:
            replace_tensors(working, weights)
        if linear is not None:
            add_linear(working, linear, pooled=own_width(working))
            contract = contract.model_copy(update={"dims": len(linear)})
        write_contract(working, contract)
        destination = root / checkpoint_digest(working)
        if not is_whole(destination):
            encoder = TextEncoder(working, precision="full", engine="plain")
            write_canaries(working, make_canaries(encoder, documents or DEFAULT_DOCUMENTS, queries or DEFAULT_QUERIES))
            place(working, destination)
    finally:
        shutil.rmtree(working, ignore_errors=True)
    return read_checkpoint(destination)


def read_checkpoint(folder: Path) -> Checkpoint:
    """Read a stored checkpoint; its digest is computed from the files. Raises EncoderError when it is none."""
    contract: BaseModel
    if is_image_checkpoint(folder):
        check_image_folder(folder)
        contract = read_image_contract(folder)
    else:
        if not is_provider(folder):
            check_folder(folder)
        contract = read_contract(folder)
    return Checkpoint(checkpoint_digest(folder), folder, contract.model_dump(mode="json"), read_canaries(folder))


def copy_model(source: Path, destination: Path) -> None:
    """Copy the files that make the model, and nothing else."""
    for path in model_files(source):
        target = destination / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _state_settings(folder: Path, contract: Contract) -> None:
    """Write limit and prefixes where sentence-transformers reads them, so that it encodes as we do."""
    wrapper, own = folder / "sentence_bert_config.json", folder / "config_sentence_transformers.json"
    limit = read_json(wrapper, optional=True)
    if limit.get("max_seq_length") != contract.max_tokens:
        _write_json(wrapper, limit | {"max_seq_length": contract.max_tokens})
    stated = read_json(own, optional=True)
    prompts = {"query": contract.query_prefix, "document": contract.document_prefix}
    if {**{"query": "", "document": ""}, **(stated.get("prompts") or {})} != prompts:
        _write_json(own, stated | {"prompts": prompts})


def replace_tensors(folder: Path, weights: Mapping[str, torch.Tensor]) -> None:
    """Write trained tensors over the stored ones of these names. Raises EncoderError for one that is not stored."""
    from safetensors import safe_open
    from safetensors.torch import save_file

    missing = set(weights)
    for path in sorted(folder.rglob("*.safetensors")):
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        here = {name: _own_name(name, weights) for name in tensors}
        for name, own in here.items():
            if own is not None:
                if tensors[name].shape != weights[own].shape:
                    raise EncoderError(f"{name}: trained {weights[own].shape}, stored {tensors[name].shape}")
                tensors[name] = weights[own].detach().to(tensors[name].dtype).contiguous()
                missing.discard(own)
        save_file(tensors, path, metadata=metadata)
    if missing:
        raise EncoderError(f"{folder}: trained tensors that the stored model does not have: {sorted(missing)[:3]}")


def _own_name(stored: str, weights: Mapping[str, torch.Tensor]) -> str | None:
    """Return the trained name of a stored tensor: the same, or without the prefix of a base model."""
    if stored in weights:
        return stored
    without = stored.partition(".")[2]
    return without if without in weights else None


def is_whole(folder: Path) -> bool:
    """Tell whether a checkpoint is there with its canaries; a folder that is not what its name says is removed."""
    if not folder.is_dir():
        return False
    if checkpoint_digest(folder) == folder.name and read_canaries(folder):
        return True
    shutil.rmtree(folder)  # its name promises a content that it does not have
    return False


def place(working: Path, destination: Path) -> None:
    """Move a finished folder to its name in one step, unless another process was faster."""
    write_manifest(working)
    working.chmod(0o755)  # mkdtemp makes it private
    try:
        os.rename(working, destination)  # noqa: PTH104 - Path.rename would replace an empty folder silently
    except OSError:
        if not destination.is_dir():  # else another process has just stored the same content
            raise


def _write_json(path: Path, value: Mapping[str, object]) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
