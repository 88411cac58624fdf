"""A port that is taken is one line with its holder and the option that names another."""

from __future__ import annotations

import os
import socket

import pytest

from vector_assets.errors import RuntimeFault
from vector_assets.runtime.ports import find_free_port, require_free


@pytest.fixture
def taken() -> int:  # type: ignore[misc]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


def test_a_free_port_is_given_back() -> None:
    port = find_free_port()
    assert require_free(port, option="--port") == port


def test_a_taken_port_names_its_holder_and_the_way_out(taken: int) -> None:
    with pytest.raises(RuntimeFault) as caught:
        require_free(taken, option="--mlflow-port")
    line = str(caught.value)
    assert line.startswith(f"port {taken} in use: ")
    assert f"(pid {os.getpid()})" in line
    assert line.endswith("; choose another with --mlflow-port")


def test_a_port_taken_on_all_addresses_is_not_free_here() -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener, pytest.raises(RuntimeFault, match="in use"):
        require_free(listener.getsockname()[1], option="--port")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_not_a_port(port: int) -> None:
    with pytest.raises(RuntimeFault, match="is not a port: expected 1 to 65535"):
        require_free(port, option="--port")


def test_a_port_whose_last_connection_just_closed_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = listener.accept()
            accepted.close()
            client.recv(1)
    assert require_free(port, option="--port") == port


def test_the_preferred_port_is_kept_where_it_is_free(taken: int) -> None:
    free = find_free_port()
    assert find_free_port(preferred=free) == free
    assert find_free_port(preferred=taken) != taken
