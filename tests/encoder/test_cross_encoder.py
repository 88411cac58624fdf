"""CrossEncoder: pairs are scored as transformers scores them one by one; what cannot judge pairs is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tiny_cross import make_tiny_cross

from vector_assets.encoder.text.cross import CrossEncoder
from vector_assets.errors import EncoderError, NotFinite

TEXTS = ["a1 a2 a3 a4", "h29 a1", "a1 h29 a2 a3 a4 a5 a6", "h29 h29 h29", "b1", "a1 " * 50 + "h29"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_cross(tmp_path_factory.mktemp("cross") / "model")


def alone(folder: Path, question: str, text: str, limit: int) -> list[float]:
    import torch
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(str(folder))
    model = AutoModelForSequenceClassification.from_pretrained(str(folder)).eval()
    with torch.no_grad():
        pair = tokenizer(question, text, truncation=True, max_length=limit, return_tensors="pt")
        return [float(value) for value in model(**pair).logits[0]]


def test_scores_are_those_of_one_pair_at_a_time_in_the_order_of_the_texts(folder: Path) -> None:
    found = CrossEncoder(folder).scores("b2 b3", TEXTS)
    wanted = [alone(folder, "b2 b3", text, 32)[0] for text in TEXTS]
    assert found.shape == (len(TEXTS),)
    assert np.allclose(found, wanted, atol=1e-5)
    assert list(np.argsort(-found)[:3]) == [3, 1, 2], "most of the pair is the word that it looks for"
    assert CrossEncoder(folder).scores("b2", []).shape == (0,)


def test_two_labels_are_one_score_and_the_limit_of_tokens_is_kept(tmp_path: Path) -> None:
    folder = make_tiny_cross(tmp_path / "two", labels=2)
    no, yes = alone(folder, "b2", TEXTS[1], 32)
    assert CrossEncoder(folder).scores("b2", [TEXTS[1]])[0] == pytest.approx(yes - no, abs=1e-5)
    short = CrossEncoder(folder, max_tokens=8)
    assert short.scores("b2", ["a1 a2 a3 a4 h29"])[0] == pytest.approx(short.scores("b2", ["a1 a2 a3 a4 b1"])[0])
    with pytest.raises(EncoderError, match="max_tokens 33 is more than the model's own limit of 32"):
        CrossEncoder(folder, max_tokens=33)


def test_what_cannot_judge_pairs_is_refused(folder: Path, tiny_model: Path, tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="BertModel; rerank expects a cross-encoder"):
        CrossEncoder(tiny_model)
    headless = tmp_path / "headless"
    shutil.copytree(tiny_model, headless)
    config = json.loads((headless / "config.json").read_text()) | {"architectures": ["BertForSequenceClassification"]}
    (headless / "config.json").write_text(json.dumps(config))
    with pytest.raises(EncoderError, match=r"the weights lack .*; expected a model that was trained to judge pairs"):
        CrossEncoder(headless)
    many = make_tiny_cross(tmp_path / "many", labels=3)
    with pytest.raises(EncoderError, match="3 labels apart; rerank expects one, or no and yes"):
        CrossEncoder(many)
    with pytest.raises(EncoderError, match="no such folder"):
        CrossEncoder(tmp_path / "nowhere")


def test_pickles_code_and_broken_weights_are_refused(folder: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    coded = shutil.copytree(folder, tmp_path / "coded")
    config = json.loads((coded / "config.json").read_text())
    (coded / "config.json").write_text(json.dumps(config | {"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(EncoderError, match="names code of its own"):
        CrossEncoder(coded)
    pickled = shutil.copytree(folder, tmp_path / "pickled")
    torch.save(load_file(pickled / "model.safetensors"), pickled / "pytorch_model.bin")
    (pickled / "model.safetensors").unlink()
    with pytest.raises(EncoderError, match="the weights are a pickle"):
        CrossEncoder(pickled)
    broken = shutil.copytree(folder, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    save_file(
        weights | {"classifier.bias": torch.tensor([float("nan")])}, broken / "model.safetensors", {"format": "pt"}
    )
    with pytest.raises(NotFinite, match="weights may be damaged"):
        CrossEncoder(broken).scores("b2", ["a1"])


def test_the_digest_names_the_files(folder: Path, tmp_path: Path) -> None:
    other = shutil.copytree(folder, tmp_path / "other")
    assert CrossEncoder(other).digest == CrossEncoder(folder).digest
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps(config | {"note": "changed"}))
    assert CrossEncoder(other).digest != CrossEncoder(folder).digest
