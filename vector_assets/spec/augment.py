"""Augmentation: how images are changed at random while they are learned from."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from vector_assets.spec.base import Spec


class Augment(Spec):
    """Small changes that leave an image what it is, drawn anew each time it is learned from; rows are encoded as is."""

    tilt: float = Field(default=0.0, ge=0, le=180, description="Turned by up to so many degrees, either way.")
    shift: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.0, description="Moved by up to this share of its width and height; its edges are drawn out."
    )
    zoom: Annotated[float, Field(ge=0, le=0.5)] = Field(
        default=0.0, description="Made larger or smaller by up to this share."
    )
    rotations: bool = Field(
        default=False,
        description="Each image to learn from is there four times, turned by 0, 90, 180 and 270 degrees, and what is "
        "turned is a label of its own. For signs and drawings, where there are few labels; not for photos, which stay "
        "what they are when they are turned.",
    )

    @model_validator(mode="after")
    def _changes_something(self) -> Augment:
        if not (self.tilt or self.shift or self.zoom or self.rotations):
            raise ValueError("changes nothing; expected tilt, shift, zoom or rotations: true")
        return self

    @property
    def moves(self) -> bool:
        """Images are moved at random, beside being turned into labels of their own."""
        return bool(self.tilt or self.shift or self.zoom)
