"""Which layer's token vectors are pooled: one that is counted from the first or from the last, or a mix of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from vector_assets.errors import EncoderError

#: 1 is the first layer and -1 the last; mix is a weighted mean of all of them and of the embeddings below.
Layer = int | Literal["mix"]

#: Families whose token vectors after layer k are what the model gives that was cut there: nothing follows the last one.
_COUNTED_BY = {"distilbert": "n_layers"} | dict.fromkeys(
    ("bert", "camembert", "electra", "mpnet", "roberta", "xlm-roberta"), "num_hidden_layers"
)


def count_layers(config: Mapping[str, Any], *, of: object) -> int:
    """Return how many layers a model has by its config.json; raises EncoderError where layers cannot be chosen."""
    family = str(config.get("model_type"))
    if family not in _COUNTED_BY:
        known = ", ".join(_COUNTED_BY)
        raise EncoderError(f"{of}: the layer of a model of type {family} cannot be chosen; expected one of {known}")
    return int(config.get(_COUNTED_BY[family]) or 0)


def chosen_layer(config: Mapping[str, Any], asked: Layer, *, own: Layer, of: object) -> Layer:
    """Return what a contract says of a declared layer: counted from the first, and ``own`` where it is the last.

    Raises EncoderError, naming how many layers there are, when there is no such layer.
    """
    count = count_layers(config, of=of)
    if asked == "mix" or own == "mix":
        if asked not in ("mix", -1):
            raise EncoderError(f"{of}: layer {asked} of an encoder that is a mix of layers; leave layer out")
        return "mix"
    counted = asked + count + 1 if asked < 0 else asked
    if not 1 <= counted <= count:
        raise EncoderError(
            f"{of}: layer {asked} is asked for and the encoder has {count} layers; "
            f"expected 1 to {count}, -1 to -{count}, or mix"
        )
    return own if counted == count else counted


def layer_settings(config: Mapping[str, Any], count: int) -> dict[str, int]:
    """Return what config.json says of a model with so many layers."""
    return {_COUNTED_BY[str(config["model_type"])]: count}
