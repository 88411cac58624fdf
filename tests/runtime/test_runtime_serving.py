"""Tokens, names and sockets of what `up` serves."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from vector_assets.errors import RuntimeFault
from vector_assets.runtime.serving import allowed_hosts, choose_token, serve_app, shown_host, socket_path


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TOKEN", "ALLOWED_HOSTS", "UI_TOKEN", "UI_HOSTS"):
        monkeypatch.delenv(f"VECTOR_ASSETS_{name}", raising=False)


def test_a_new_token_per_start_on_loopback_and_the_owners_where_set(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = choose_token("127.0.0.1"), choose_token("localhost")
    assert first != second and len(first) >= 32
    monkeypatch.setenv("VECTOR_ASSETS_TOKEN", "owners-own-secret_1")
    assert choose_token("0.0.0.0") == choose_token("127.0.0.1") == "owners-own-secret_1"


def test_beyond_loopback_the_owner_has_to_choose_a_token() -> None:
    with pytest.raises(RuntimeFault, match="set VECTOR_ASSETS_TOKEN"):
        choose_token("0.0.0.0")


@pytest.mark.parametrize("bad", ["", "short", "fifteen-letters", "with space and more", "ümlaut-umlaut-umlaut"])
def test_a_weak_token_is_refused(monkeypatch: pytest.MonkeyPatch, bad: str) -> None:
    monkeypatch.setenv("VECTOR_ASSETS_TOKEN", bad)
    with pytest.raises(RuntimeFault, match="16 or more"):
        choose_token("127.0.0.1")


def test_hosts_are_loopback_then_this_machine_then_what_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert allowed_hosts("127.0.0.1") == ["127.0.0.1", "localhost"]
    monkeypatch.setenv("VECTOR_ASSETS_ALLOWED_HOSTS", "search.example.com, *.intern")
    wide = allowed_hosts("0.0.0.0")
    assert {socket.gethostname(), "127.0.0.1", "search.example.com", "*.intern"} <= set(wide)
    assert "0.0.0.0" not in wide and shown_host("0.0.0.0") == socket.gethostname()


def test_nothing_is_served_without_a_token() -> None:
    with pytest.raises(RuntimeFault, match="vector-assets up"):
        serve_app(None, host="127.0.0.1", port=1)  # type: ignore[arg-type]


def test_a_socket_lies_in_the_home_or_in_a_private_folder(tmp_path: Path) -> None:
    assert socket_path(tmp_path, "code.sock") == tmp_path / "run" / "code.sock"
    long = tmp_path / ("x" * 100)
    long.mkdir()
    elsewhere = socket_path(long, "code.sock")
    assert elsewhere == socket_path(long, "code.sock") and len(str(elsewhere)) < 100
    assert elsewhere.parent.stat().st_mode & 0o777 == 0o700
    elsewhere.parent.chmod(0o755)
    with pytest.raises(RuntimeFault, match="private folder"):
        socket_path(long, "code.sock")
    elsewhere.parent.rmdir()
