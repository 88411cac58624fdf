"""Homes are private, parents are left alone, and our own folders are found in a checkout and in a wheel."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vector_assets.errors import RuntimeFault
from vector_assets.runtime import home as module
from vector_assets.runtime.home import artifacts_root, bundled, home


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_home_lies_in_the_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert home() == tmp_path / ".vector_assets"
    assert mode(tmp_path / ".vector_assets") == 0o700


def test_home_lies_in_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTOR_ASSETS_PROJECT", str(tmp_path / "shop"))
    assert home() == tmp_path / "shop" / ".vector_assets"


def test_a_named_home_wins_over_the_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTOR_ASSETS_PROJECT", str(tmp_path / "shop"))
    monkeypatch.setenv("VECTOR_ASSETS_HOME", str(tmp_path / "state"))
    assert home() == tmp_path / "state"


def test_modes_of_what_exists_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(0o750)
    (parent / "home").mkdir()
    (parent / "home").chmod(0o711)
    monkeypatch.setenv("VECTOR_ASSETS_HOME", str(parent / "home"))
    home()
    assert (mode(parent), mode(parent / "home")) == (0o750, 0o711)


def test_a_file_in_the_way_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").write_text("")
    monkeypatch.setenv("VECTOR_ASSETS_HOME", str(tmp_path / "home"))
    with pytest.raises(RuntimeFault, match="File exists; name another with VECTOR_ASSETS_HOME"):
        home()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can own folders of others")
def test_root_refuses_a_home_that_another_user_can_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "home").mkdir()
    os.chown(tmp_path / "home", 12345, 12345)
    monkeypatch.setenv("VECTOR_ASSETS_HOME", str(tmp_path / "home"))
    with pytest.raises(RuntimeFault, match="belongs to user id 12345: run as that user"):
        home()


def test_artifacts_are_a_folder_of_the_home_or_what_the_user_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VECTOR_ASSETS_HOME", str(tmp_path / "home"))
    assert artifacts_root() == str(tmp_path / "home" / "artifacts")
    monkeypatch.setenv("VECTOR_ASSETS_ARTIFACTS", str(tmp_path / "art"))
    assert artifacts_root() == str(tmp_path / "art")
    assert (tmp_path / "art").is_dir()
    monkeypatch.setenv("VECTOR_ASSETS_ARTIFACTS", "s3://bucket/prefix")
    assert artifacts_root() == "s3://bucket/prefix"


def test_bundled_folders_in_a_checkout() -> None:
    repository = Path(__file__).resolve().parents[2]
    assert bundled("sql") == repository / "sql"
    assert bundled("dagster_home") == repository / "dagster_home"


def test_bundled_folders_in_a_wheel_go_before_a_stranger_of_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "site-packages" / "vector_assets"
    (package / "_bundled" / "sql").mkdir(parents=True)
    (tmp_path / "site-packages" / "sql").mkdir()
    monkeypatch.setattr(module, "_PACKAGE", package)
    assert bundled("sql") == package / "_bundled" / "sql"
    with pytest.raises(RuntimeFault, match="dagster_home is missing"):
        bundled("dagster_home")


def test_only_our_two_folders_are_bundled() -> None:
    with pytest.raises(RuntimeFault, match="expected one of sql, dagster_home"):
        bundled("../etc")
