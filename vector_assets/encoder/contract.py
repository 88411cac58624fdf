"""What the vectors of a checkpoint mean. Two checkpoints with equal contracts take the same texts in the same way.

Versions of libraries are no part of it (canaries tell whether the numbers still hold), nor is the index's metric.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from vector_assets.encoder.layers import Layer, chosen_layer
from vector_assets.errors import EncoderError

CONTRACT_FILE = "contract.json"

#: Files that hold a tokenizer, the best first. One of them must be there.
TOKENIZER_FILES = (
    "tokenizer.json",
    "vocab.txt",
    "spiece.model",
    "sentencepiece.bpe.model",
    "tokenizer.model",
    "vocab.json",
)

_NO_LIMIT = 1 << 20

REVISION = "Counted up to make the same weights another checkpoint, whose canaries are those of the libraries of then."

Stored = TypeVar("Stored", bound=BaseModel)


class Contract(BaseModel):
    """What a vector means."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    kind: Literal["text", "provider"] = "text"
    query_prefix: str = ""
    document_prefix: str = ""
    pooling: str = Field(description="How token vectors become one: mean, cls, max; several joined by +.")
    normalized: bool = Field(default=True, description="Vectors have length 1.")
    dims: int = Field(ge=1, description="Width as served: the first of the model's dims, scaled to length 1 again.")
    layer: Layer = Field(
        default=-1,
        description="The layer whose token vectors are pooled: 1 is the first, -1 the last, mix all of them, 0 the "
        "table below them, which knows no context.",
    )
    max_tokens: int = Field(ge=3, description="Longer texts are cut here, special tokens included.")
    lowercase: bool = Field(description="Texts are lower-cased before they are split into tokens.")
    tokenizer: str = Field(description="Digest of vocabulary and rules of the tokenizer.")
    revision: int = Field(default=0, ge=0, description=REVISION)


@dataclass(frozen=True, slots=True)
class ContractSettings:
    """What a space declares differently from the encoder's own contract; None keeps the encoder's own."""

    max_tokens: int | None = None
    query_prefix: str | None = None
    document_prefix: str | None = None
    dims: int | None = None
    layer: Layer | None = None
    revision: int | None = None


def read_contract(folder: Path) -> Contract:
    """Read a checkpoint's stored contract. Raises EncoderError when it is absent or not of this format."""
    return stored_model(folder, Contract)


def stored_model(folder: Path, kind: type[Stored]) -> Stored:
    """Read contract.json as one kind of contract. Raises EncoderError when it is absent or not of that kind."""
    path = folder / CONTRACT_FILE
    try:
        return kind.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise EncoderError(f"{folder}: no {CONTRACT_FILE}, so this is no checkpoint of ours; store it first") from None
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "the file"
        raise EncoderError(f"{path}: {key}: {first['msg']}") from None


def write_contract(folder: Path, contract: BaseModel) -> None:
    """Write the contract in one canonical form, so that equal contracts are equal bytes."""
    values = contract.model_dump()
    if not values.get("revision"):  # it came later: checkpoints without it keep their digests
        values.pop("revision", None)
    text = json.dumps(values, sort_keys=True, indent=1, ensure_ascii=False)
    (folder / CONTRACT_FILE).write_text(text + "\n", encoding="utf-8")


def differences(a: BaseModel, b: BaseModel) -> list[str]:
    """Return one readable line for each thing on which two contracts disagree; empty when they agree."""
    left, right = a.model_dump(), b.model_dump()
    return [f"{name}: {left[name]!r} != {right[name]!r}" for name in left if left[name] != right[name]]


def derive_contract(folder: Path, settings: ContractSettings | None = None) -> Contract:
    """Return the contract of a model folder as its own configuration states it, with the declared settings applied."""
    asked = settings or ContractSettings()
    config = read_json(folder / "config.json")
    tokenizer = read_json(folder / "tokenizer_config.json", optional=True)
    wrapper = read_json(folder / "sentence_bert_config.json", optional=True)
    prompts = read_json(folder / "config_sentence_transformers.json", optional=True).get("prompts") or {}
    own_limit = _own_limit(config, tokenizer, wrapper)
    if asked.max_tokens and asked.max_tokens > own_limit:
        raise EncoderError(
            f"{folder}: max_tokens {asked.max_tokens} is more than the encoder's own limit of {own_limit}"
        )
    pooling, dims = _pooling(folder, config)
    # sentence-transformers stores no such cut, so that of a stored checkpoint stands in its contract alone.
    stated = read_json(folder / CONTRACT_FILE, optional=True)
    own: Layer = stated.get("layer", 0 if is_static(folder) else -1)
    served = asked.dims or stated.get("dims") or dims
    if served > dims:
        raise EncoderError(f"{folder}: dims {served} is more than the {dims} that the encoder gives; expected fewer")
    return Contract(
        query_prefix=_first(asked.query_prefix, prompts.get("query"), ""),
        document_prefix=_first(asked.document_prefix, prompts.get("document"), prompts.get("passage"), ""),
        pooling=pooling,
        dims=served,
        layer=own if asked.layer is None else chosen_layer(config, asked.layer, own=own, of=folder),
        max_tokens=asked.max_tokens or own_limit,
        lowercase=bool(tokenizer.get("do_lower_case") or wrapper.get("do_lower_case")),
        tokenizer=tokenizer_digest(folder),
        revision=asked.revision or stated.get("revision", 0),
    )


def own_limit(folder: Path) -> int:
    """Return how many tokens the model takes, special tokens included."""
    names = ("config.json", "tokenizer_config.json", "sentence_bert_config.json")
    config, tokenizer, wrapper = (read_json(folder / name, optional=True) for name in names)
    return _own_limit(config, tokenizer, wrapper)


def own_width(folder: Path) -> int:
    """Return how many dims the model itself gives, of which the contract may keep the first."""
    return _pooling(folder, read_json(folder / "config.json"))[1]


def tokenizer_digest(folder: Path) -> str:
    """Digest of what the tokenizer does; padding and cutting are ours and left out."""
    for name in TOKENIZER_FILES:
        path = folder / name
        if path.is_file():
            if name != "tokenizer.json":
                return hashlib.sha256(path.read_bytes()).hexdigest()
            rules = {key: value for key, value in read_json(path).items() if key not in ("truncation", "padding")}
            return hashlib.sha256(json.dumps(rules, sort_keys=True).encode()).hexdigest()
    raise EncoderError(f"{folder}: tokenizer.json is missing, and so is every other tokenizer file")


def read_json(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Read a JSON object. Raises EncoderError naming the file; an absent optional file is an empty object."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if optional:
            return {}
        raise EncoderError(f"{path.parent}: {path.name} is missing") from None
    except (ValueError, OSError) as error:
        raise EncoderError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(value, dict):
        raise EncoderError(f"{path}: expected a JSON object, found {type(value).__name__}")
    return value


def is_static(folder: Path) -> bool:
    """Tell whether a model is a table of token vectors, without layers that see more than one token."""
    first = next(iter(modules_of(folder)), None)
    return first is not None and str(first["type"]).rsplit(".", 1)[-1] == "StaticEmbedding"


def modules_of(folder: Path) -> list[Mapping[str, Any]]:
    """Return the entries of modules.json; empty for a plain transformers folder."""
    path = folder / "modules.json"
    if not path.is_file():
        return []
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise EncoderError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(entries, list) or not all(isinstance(e, dict) and {"path", "type"} <= set(e) for e in entries):
        raise EncoderError(f"{path}: expected a list of modules with path and type")
    return entries


def _own_limit(config: Mapping[str, Any], tokenizer: Mapping[str, Any], wrapper: Mapping[str, Any]) -> int:
    stated = wrapper.get("max_seq_length") or tokenizer.get("model_max_length")
    places = config.get("max_position_embeddings")
    limits = [int(value) for value in (stated, places) if value and 0 < value < _NO_LIMIT]
    if not limits:
        raise EncoderError("the encoder states no limit of tokens; set max_tokens")
    return min(limits)


def _pooling(folder: Path, config: Mapping[str, Any]) -> tuple[str, int]:
    hidden = int(config.get("hidden_size") or config.get("dim") or 0)
    pooling, dims = "mean", hidden
    for module in modules_of(folder):
        settings = read_json(folder / str(module["path"]) / "config.json", optional=True) if module["path"] else {}
        kind = str(module["type"]).rsplit(".", 1)[-1]
        if kind == "Pooling":
            pooling, dims = (
                _pooling_mode(settings),
                int(settings.get("embedding_dimension") or settings.get("word_embedding_dimension") or hidden),
            )
            dims *= pooling.count("+") + 1
        elif kind == "Dense":
            dims = int(settings.get("out_features") or dims)
    if dims < 1:
        raise EncoderError(f"{folder}: the width of a vector is stated neither in config.json nor by the pooling")
    return pooling, dims


def _pooling_mode(settings: Mapping[str, Any]) -> str:
    mode = settings.get("pooling_mode")
    if mode:
        return mode if isinstance(mode, str) else "+".join(mode)
    names = {"cls_token": "cls", "max_tokens": "max", "mean_tokens": "mean"}
    switches = [
        name.removeprefix("pooling_mode_") for name, on in settings.items() if name.startswith("pooling_mode_") and on
    ]
    return "+".join(names.get(name, name) for name in switches) or "mean"


def _first(*values: str | None) -> str:
    return next(value for value in values if value is not None)
