"""The table of token vectors: a mean worked out by hand, what sentence-transformers makes of the folder, refusals."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from scipy.stats import spearmanr
from tiny import make_tiny_bert
from tokenizers import Tokenizer, normalizers

from vector_assets.encoder import ContractSettings, load_encoder, read_checkpoint
from vector_assets.encoder.canaries import check_canaries
from vector_assets.encoder.open import open_encoder, store_untrained
from vector_assets.errors import EncoderError, NotFinite
from vector_assets.records import Checkpoint
from vector_assets.spec import TextSpace
from vector_assets.training.network import Network

TEXTS = ["a1 b2", "b2 a1", "c3", "h29 unheard a1 a1", "d4 " * 50]


@pytest.fixture(scope="module")
def stored(tiny_source: Path, tmp_path_factory: pytest.TempPathFactory) -> Checkpoint:
    return store_untrained(f"static:{tiny_source}", tmp_path_factory.mktemp("static"), folder=Path("/"))


def test_a_text_is_the_mean_of_its_tokens_whatever_stands_beside_them(stored: Checkpoint, tiny_source: Path) -> None:
    table = load_file(tiny_source / "model.safetensors")["embeddings.word_embeddings.weight"]
    ids = Tokenizer.from_file(str(tiny_source / "tokenizer.json")).token_to_id
    a, b, unknown = (table[ids(token)] for token in ("a1", "b2", "[UNK]"))
    encoder = load_encoder(stored.folder)
    found = encoder.encode_documents(["a1 b2", "A1 nobody a1", "b2 a1"]).vectors
    for vector, mean in zip(found, [(a + b) / 2, (2 * a + unknown) / 3, (a + b) / 2], strict=True):
        assert vector == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)
    assert found.dtype == np.float32 and encoder.engine == "static"
    assert encoder.encode_queries(["b2 a1"])[0] == pytest.approx(found[0], abs=1e-6)


def test_sentence_transformers_reads_the_same_from_the_folder(stored: Checkpoint) -> None:
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(stored.folder), device="cpu").encode(TEXTS)
    ours = load_encoder(stored.folder).encode_documents(TEXTS)
    assert np.abs(theirs - ours.vectors).max() < 1e-5
    assert ours.truncated.tolist() == [False, False, False, False, True] and ours.tokens == 2 + 2 + 1 + 4 + 32


def test_the_folder_is_a_checkpoint_like_any_other(stored: Checkpoint, tiny_source: Path, tmp_path: Path) -> None:
    assert read_checkpoint(stored.folder) == stored and stored.folder.name == stored.digest
    assert (stored.contract["layer"], stored.contract["pooling"], stored.contract["dims"]) == (0, "mean", 32)
    assert stored.contract["max_tokens"] == 32 and stored.contract["lowercase"] is True
    assert check_canaries(open_encoder(stored.folder), stored.canaries).passed and len(stored.canaries) == 16
    assert not [path for path in stored.folder.rglob("*") if path.suffix in (".bin", ".pt", ".py")]
    again = store_untrained(f"static:{tiny_source}", tmp_path, folder=Path("/"))
    assert again.digest == stored.digest  # by content, wherever it is made
    of_a_table = store_untrained(f"static:{stored.folder}", tmp_path / "nested", folder=Path("/"))
    assert of_a_table.contract == stored.contract
    other = make_tiny_bert(tmp_path / "other", seed=1)
    assert store_untrained(f"static:{other}", tmp_path, folder=Path("/")).digest != stored.digest


def test_a_shorter_limit_and_prefixes_hold_in_both_libraries(tiny_source: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    settings = ContractSettings(max_tokens=8, document_prefix="e5 ", dims=16)
    found = store_untrained(f"static:{tiny_source}", tmp_path, folder=Path("/"), settings=settings)
    ours = load_encoder(found.folder).encode_documents(["f6", "a1 " * 8 + "b2"])
    assert ours.truncated.tolist() == [False, True] and ours.vectors.shape == (2, 16)
    theirs = SentenceTransformer(str(found.folder), device="cpu", truncate_dim=16).encode(
        ["f6", "a1 " * 8 + "b2"], prompt_name="document", normalize_embeddings=True
    )
    assert np.abs(theirs - ours.vectors).max() < 1e-5


def test_encoding_imports_neither_torch_nor_transformers(stored: Checkpoint) -> None:
    code = (
        "import sys; from pathlib import Path; from vector_assets.encoder import load_encoder; "
        f"found = load_encoder(Path({str(stored.folder)!r})).encode_documents(['a1']).vectors; "
        "print(found.shape, {'torch', 'transformers', 'sentence_transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert done.stdout.strip() == "(1, 32) set()"


def test_a_text_without_tokens_is_refused_by_itself(stored: Checkpoint, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(stored.folder, tmp_path / "deaf"))
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.normalizer = normalizers.Replace("zz", "")
    tokenizer.save(str(folder / "tokenizer.json"))
    with pytest.raises(EncoderError, match="text 1 of 2 has no token"):
        load_encoder(folder).encode_documents(["a1", "zz"])
    with pytest.raises(NotFinite, match="not finite"):
        load_encoder(stored.folder).encode_documents(["[PAD]"])  # whose vector is zero


#: Sentence pairs with how alike they are in meaning, 0 to 5. Words in common and likeness of meaning go apart here.
PAIRS = (
    ("A child is asleep in its bed.", "The kid is sleeping.", 4.5),
    ("The company cut hundreds of jobs.", "The firm laid off many workers.", 4.5),
    ("The physician wrote her a prescription.", "The doctor prescribed medicine.", 4.4),
    ("It rained from morning to night.", "The weather was wet all day.", 4.2),
    ("Prices rose sharply last year.", "Inflation was high in the past twelve months.", 4.0),
    ("He strums an instrument on stage.", "A musician is playing the guitar at a concert.", 3.6),
    ("The bank approved the loan.", "They sat on the bank of the river.", 0.5),
    ("The bat flew out of the cave.", "The player swung the bat.", 0.5),
    ("She cut the apple into pieces.", "Apple cut the price of its phone.", 0.6),
    ("The match was lit with a lighter.", "The match was lost in the last minute.", 0.4),
    ("The plant grew in the shade.", "The plant makes steel for cars.", 0.5),
    ("The train left the station at noon.", "She likes to train at the gym at noon.", 0.6),
)


def test_on_pairs_of_sentences_it_loses_to_the_encoder_that_reads_words_in_context(
    minilm: Checkpoint, tmp_path: Path
) -> None:
    """Acceptance row B12: the cheap arm is to be beaten."""
    table = store_untrained("static:minilm", tmp_path, folder=tmp_path)
    found = {}
    for name, checkpoint in (("minilm", minilm), ("static", table)):
        encoder = load_encoder(checkpoint.folder)
        left, right = (encoder.encode_documents([pair[side] for pair in PAIRS]).vectors for side in (0, 1))
        found[name] = float(spearmanr(np.sum(left * right, axis=1), [pair[2] for pair in PAIRS]).statistic)
    assert found["minilm"] > 0.7 and found["minilm"] > found["static"] + 0.2, found


def test_it_is_not_trained(stored: Checkpoint) -> None:
    with pytest.raises(EncoderError, match="is not trained"):
        Network(stored.folder, trainable="last_1")
    for values, wrong in (
        ({"train": {"pairs": "pairs.jsonl"}}, "is not trained"),
        ({"layer": 2}, "below all layers"),
        ({"encoder": "static:"}, "names no model folder"),
        ({"encoder": "static:provider:openai/x"}, "names no model folder"),
    ):
        with pytest.raises(ValueError, match=wrong):
            TextSpace.model_validate({"fields": ["text"], "encoder": "static:minilm", **values})
    with pytest.raises(EncoderError, match="cannot be chosen"):
        store_untrained(
            f"static:{stored.folder}", stored.folder.parent, folder=Path("/"), settings=ContractSettings(layer=1)
        )
