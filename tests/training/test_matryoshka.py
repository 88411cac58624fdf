"""Matryoshka: the loss over prefixes, what each of them reaches, and vectors that are served cut."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from runlog import MemoryLog

from vector_assets.encoder import ContractSettings, load_encoder, make_checkpoint
from vector_assets.encoder.text.model import cut
from vector_assets.errors import SpecError
from vector_assets.records import TrainingSet
from vector_assets.spec import Training
from vector_assets.training import store_base, train
from vector_assets.training.network import Network
from vector_assets.training.objectives import Contrastive, Matryoshka, Seen, Triplet
from vector_assets.training.retrieval import judge, pool_of
from vector_assets.training.session import widths_of


def test_the_loss_is_the_sum_over_prefixes_of_unit_length() -> None:
    import torch
    from torch.nn.functional import normalize

    torch.manual_seed(0)
    queries, documents, wrong = (normalize(torch.randn(rows, 8), dim=1) for rows in (4, 4, 3))
    seen = Seen(documents, queries, negatives=wrong)
    wanted = 0.0
    for width in (8, 4, 2):
        parts = [normalize(part[:, :width], dim=1) for part in (queries, documents, wrong)]
        scores = 20 * parts[0] @ torch.cat(parts[1:]).T
        wanted += float(torch.nn.functional.cross_entropy(scores, torch.arange(4)))
    assert float(Matryoshka(Contrastive(), (4, 2)).loss(seen)) == pytest.approx(wanted, abs=1e-5)
    classes = torch.tensor([0, 0, 1, 1])
    plain, nested = Triplet(), Matryoshka(Triplet(), (4,))
    both = float(plain.loss(Seen(documents, classes=classes))) + float(
        plain.loss(Seen(normalize(documents[:, :4], dim=1), classes=classes))
    )
    assert float(nested.loss(Seen(documents, classes=classes))) == pytest.approx(both, abs=1e-5)


@pytest.mark.parametrize("dims", [None, 8])
def test_each_width_is_scored_for_both_arms_as_it_is_served(
    dims: int | None, keywords: TrainingSet, base: Path, tmp_path: Path, training: Training
) -> None:
    declared = training.model_copy(update={"matryoshka": [16, 8, 4], "max_epochs": 5})
    log = MemoryLog()
    settings = ContractSettings(dims=dims)
    found = train(keywords, declared, base, destination=tmp_path, log=log, base_log=MemoryLog(), settings=settings)
    widths = [width for width in (16, 8, 4) if width < (dims or 32)]
    names = {f"mrr@10_dims_{width}" for width in widths}
    assert {name for name in found.test if "dims" in name} == names == {n for n in found.base_test if "dims" in n}
    assert found.checkpoint.contract["dims"] == (dims or 32) == found.base.contract["dims"]
    pool = pool_of(keywords.split("test"))
    for checkpoint, metrics in ((found.checkpoint, found.test), (found.base, found.base_test)):
        encoder = load_encoder(checkpoint.folder)
        queries = encoder.encode_queries([query.text for query in pool.queries])
        documents = encoder.encode_documents(pool.documents).vectors
        assert queries.shape[1] == documents.shape[1] == (dims or 32)
        assert judge(pool, queries, documents).metrics["mrr@10"] == pytest.approx(metrics["mrr@10"])
        for width in widths:
            first = judge(pool, cut(queries, width), cut(documents, width)).metrics["mrr@10"]
            assert first == pytest.approx(metrics[f"mrr@10_dims_{width}"])
    assert found.improved and all(found.test[name] > found.base_test[name] + 0.2 for name in names - {"mrr@10_dims_4"})
    assert log.series(f"test/mrr_at_10_dims_{widths[0]}") and log.series(f"validation/mrr_at_10_dims_{widths[0]}")
    assert log.logged_params["objective_matryoshka"] == "16, 8, 4"


def test_without_matryoshka_what_is_served_is_what_is_learned(
    keywords: TrainingSet, base: Path, tmp_path: Path, training: Training
) -> None:
    from safetensors.torch import load_file

    found = train(
        keywords, training.model_copy(update={"max_epochs": 5}), base, destination=tmp_path, log=MemoryLog(),
        base_log=MemoryLog(), settings=ContractSettings(dims=8),
    )  # fmt: skip
    assert found.test["mrr@10"] > found.base_test["mrr@10"] + 0.2
    before, after = (load_file(one.folder / "model.safetensors") for one in (found.base, found.checkpoint))
    last = "encoder.layer.2.output.LayerNorm.bias"
    assert before[last][:8].ne(after[last][:8]).all(), "the first dims learn"


def test_a_width_that_is_not_less_than_the_models_is_refused(base: Path, tmp_path: Path) -> None:
    network = Network(make_checkpoint(base, tmp_path).folder, trainable="last_1")
    with pytest.raises(SpecError, match=r"matryoshka: found 32; expected less than the 32 dims"):
        widths_of(Training(pairs="p", matryoshka=[32, 8]), network)
    assert widths_of(Training(pairs="p", matryoshka=[8, 16]), network) == (16, 8)
    assert widths_of(Training(pairs="p"), network) == ()


def test_dims_are_part_of_the_base(keywords: TrainingSet, base: Path, tmp_path: Path, training: Training) -> None:
    whole, first = (store_base(keywords, training, base, tmp_path, ContractSettings(dims=dims)) for dims in (None, 12))
    assert whole.digest != first.digest and len(first.canaries[0].vector) == 12
    vectors = np.array([canary.vector for canary in whole.canaries], np.float32)
    assert np.allclose(cut(vectors, 12), [canary.vector for canary in first.canaries], atol=1e-6)
