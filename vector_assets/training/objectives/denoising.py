"""Denoising (TSDAE, Wang et al. 2021): a decoder rebuilds a text from the vector of what is left of it.

sentence-transformers' DenoisingAutoEncoderLoss: a decoder with the encoder's own weights, and cross-attention that sees
one vector, that of the damaged text. Each token is deleted with probability 0.6, the best ratio of the paper.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from vector_assets.encoder.quiet import quiet
from vector_assets.encoder.text.plain import padded
from vector_assets.errors import EncoderError

if TYPE_CHECKING:
    import torch

    from vector_assets.training.network import Network

DELETED = 0.6


class Denoising:
    """The reconstruction of texts; the decoder is dropped afterwards."""

    def __init__(self) -> None:
        self._network: Network | None = None
        self._function: Any = None
        self._own: dict[str, torch.nn.Parameter] = {}

    def start(self, network: Network) -> None:
        """Tie a decoder to the encoder. Raises EncoderError where transformers has none for its architecture."""
        from sentence_transformers.sentence_transformer.losses import DenoisingAutoEncoderLoss

        if network.is_mix:
            raise EncoderError(f"{network.name}: denoising rebuilds texts from one layer; expected dropout_pairs")
        hidden = int(getattr(network.transformer.config, "hidden_size", network.width))
        if network.width != hidden:
            raise EncoderError(
                f"{network.name}: denoising rebuilds texts from vectors as wide as the layers' ({hidden}), and these "
                f"are reduced to {network.width}; expected dropout_pairs, or the encoder as it was before"
            )
        frozen = {name for name, one in network.transformer.named_parameters() if not one.requires_grad}
        before = {name: one.detach().clone() for name, one in network.transformer.named_parameters()}
        refused = (
            f"{network.name}: denoising needs a decoder with cross-attention, which transformers has not for "
            f"{type(network.transformer).__name__}; expected dropout_pairs"
        )
        try:
            with quiet():
                self._function = DenoisingAutoEncoderLoss(network.model, tie_encoder_decoder=True).float()
        except (ValueError, AttributeError, TypeError, AssertionError):
            raise EncoderError(refused) from None
        if not any("crossattention" in name for name, _ in self._function.decoder.named_parameters()):
            raise EncoderError(refused)
        for name, parameter in network.transformer.named_parameters():  # those of the decoder now
            parameter.requires_grad_(name not in frozen)
            parameter.data.copy_(before[name])
        tied = {id(parameter) for parameter in network.transformer.parameters()}
        decoder = self._function.decoder.named_parameters()
        self._own = {name: one for name, one in decoder if id(one) not in tied and one.requires_grad}
        self._function.decoder.train()  # with dropout, as the encoder is in ``loss``
        self._network = network

    def loss(self, places: Sequence[int], ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """Return the cross entropy of each token, given those before it and the vector of the damaged text."""
        assert self._network is not None, "start comes first"
        tokenizer = self._network.model.tokenizer
        with self._network.noisy():
            found: torch.Tensor = self._function([padded(tokenizer, damaged(ids)), padded(tokenizer, ids)], None)
        return found

    def parameters(self) -> list[torch.nn.Parameter]:
        """Return the decoder's own: cross-attention and the last projection."""
        return list(self._own.values())

    def state(self) -> dict[str, torch.Tensor]:
        """Return copies of the decoder's own, by name."""
        return {name: one.detach().clone() for name, one in self._own.items()}

    def restore(self, state: Mapping[str, torch.Tensor]) -> None:
        """Put an earlier state back."""
        import torch

        with torch.no_grad():
            for name, one in self._own.items():
                one.copy_(state[name])

    def settings(self) -> Mapping[str, str | int | float | bool]:
        """Return what to log about it."""
        return {"objective": "denoising", "deleted": DELETED}


def damaged(ids: Sequence[Sequence[int]]) -> list[list[int]]:
    """Delete tokens by torch's own generator; the first and the last, which are special, stay, and one between them."""
    import torch

    found = []
    for one in ids:
        draws = torch.rand(max(0, len(one) - 2))
        kept = [token for token, draw in zip(one[1:-1], draws.tolist(), strict=True) if draw >= DELETED]
        if not kept and len(draws):
            kept = [one[1 + int(draws.argmax())]]
        found.append([one[0], *kept, *one[-1:]] if len(one) > 1 else list(one))
    return found
