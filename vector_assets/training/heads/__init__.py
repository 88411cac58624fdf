"""Heads: one weight vector per class, learned beside the encoder, whole or in slices."""

from vector_assets.training.heads.plain import Head, class_means
from vector_assets.training.heads.split import SplitHead
from vector_assets.training.heads.start import make_head, random_weights

__all__ = ["Head", "SplitHead", "class_means", "make_head", "random_weights"]
