"""What a search chooses among, and the declared settings among it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from vector_assets.encoder.contract import CONTRACT_FILE, ContractSettings, read_json
from vector_assets.encoder.layers import chosen_layer
from vector_assets.encoder.open import Settings
from vector_assets.spec import LOSS_SETTINGS, SEARCHED, Layer, Training
from vector_assets.training.searched import Setting


@dataclass(frozen=True, slots=True)
class Space:
    """``declared`` are the settings of trial 0, by the names of what is searched; ``rate`` is a range, if any."""

    declared: Mapping[str, Setting]
    choices: Mapping[str, tuple[Setting, ...]]
    rate: tuple[float, float] | None

    @property
    def inside(self) -> dict[str, Setting]:
        """The declared settings that the search could have chosen as well."""
        found = {name: self.declared[name] for name, values in self.choices.items() if self.declared[name] in values}
        if self.rate and self.rate[0] <= float(self.declared["learning_rate"]) <= self.rate[1]:
            found["learning_rate"] = self.declared["learning_rate"]
        return found

    def all(self, most: int) -> list[dict[str, Setting]] | None:
        """Return every other combination when they are so few that all can be tried; else None."""
        count = 1
        for values in self.choices.values():
            count *= len(values)
        others = count - (len(self.inside) == len(self.choices))
        if self.rate or others > most:
            return None
        every = (dict(zip(self.choices, one, strict=True)) for one in itertools.product(*self.choices.values()))
        return [one for one in every if one != self.inside]


def space_of(training: Training, settings: Settings, base: Path) -> Space:
    """Return what a declared search chooses among. Raises EncoderError for a layer that the encoder does not have."""
    search = training.search
    assert search is not None, "a search is declared"
    declared: dict[str, Setting] = {}
    choices: dict[str, tuple[Setting, ...]] = {}
    for name in SEARCHED:
        asked = getattr(search, name)
        if asked is None:
            continue
        if name == "layer":
            assert isinstance(settings, ContractSettings), "an encoder of images has no layers to choose"
            own = _own_layer(base)
            asked = [_layer(base, layer, own) for layer in asked]
            declared[name] = own if settings.layer is None else _layer(base, settings.layer, own)
        else:
            declared[name] = training.loss_setting(name) if name in LOSS_SETTINGS else getattr(training, name)
        if name != "learning_rate":
            choices[name] = tuple(dict.fromkeys(asked))
    low_high = search.learning_rate
    return Space(declared, choices, (low_high[0], low_high[1]) if low_high else None)


def applied(
    training: Training, settings: Settings, values: Mapping[str, Setting], space: Space
) -> tuple[Training, Settings]:
    """Return the declaration with a trial's values in place of its own, and without its search."""
    layer = values.get("layer")
    if layer is not None and layer != space.declared["layer"]:
        assert isinstance(settings, ContractSettings), "an encoder of images has no layers to choose"
        settings = replace(settings, layer=layer)  # type: ignore[arg-type]
    rest = {name: value for name, value in values.items() if name != "layer"}
    return training.model_copy(update={**rest, "search": None}), settings


def _own_layer(base: Path) -> Layer:
    own: Layer = read_json(base / CONTRACT_FILE, optional=True).get("layer", -1)
    return own


def _layer(base: Path, asked: Layer, own: Layer) -> Layer:
    return chosen_layer(read_json(base / "config.json"), asked, own=own, of=base)
