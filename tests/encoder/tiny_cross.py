"""A tiny BERT cross-encoder made by hand: it scores a pair by the share of one word in it, so every order is known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tiny import WORDS, make_tiny_bert


def make_tiny_cross(
    folder: Path, *, labels: int = 1, word: str = "h29", words: Sequence[str] = WORDS, limit: int = 32
) -> Path:
    """Write weights, tokenizer and configuration as ``save_pretrained`` does.

    Every token attends to all alike, so what reaches the head is the mean of the pair's tokens, and the head looks
    for the direction of ``word`` in it.
    """
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    make_tiny_bert(folder, limit=limit, words=words)
    for extra in ("modules.json", "sentence_bert_config.json", "1_Pooling/config.json"):
        (folder / extra).unlink()
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=5 + len(words), hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64, num_labels=labels,
    )  # fmt: skip
    model = BertForSequenceClassification(config)
    direction = torch.zeros(32)
    direction[:2] = torch.tensor([1.0, -1.0])
    with torch.no_grad():
        layer, embeddings = model.bert.encoder.layer[0], model.bert.embeddings
        for part in (embeddings.position_embeddings, embeddings.token_type_embeddings):
            part.weight.zero_()
        embeddings.word_embeddings.weight[:, :2] = 0
        embeddings.word_embeddings.weight[5 + list(words).index(word)] = direction
        for part in (
            layer.attention.self.query,
            layer.attention.self.key,
            layer.intermediate.dense,
            layer.output.dense,
        ):
            part.weight.zero_()
        for part in (layer.attention.self.value, layer.attention.output.dense, model.bert.pooler.dense):
            part.weight.copy_(torch.eye(32))
        model.bert.pooler.dense.weight.mul_(0.1)  # far from where tanh is flat
        model.classifier.weight.copy_(
            torch.outer(torch.linspace(-1, 1, labels) if labels > 1 else torch.ones(1), direction)
        )
        model.classifier.bias.zero_()
    model.save_pretrained(folder)
    return folder
