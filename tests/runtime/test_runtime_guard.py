"""Nobody gets in without the token, under a foreign name, or from a foreign page; websockets included."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from vector_assets.errors import RuntimeFault
from vector_assets.runtime.guard import guarded

TOKEN = "a-token-that-nobody-guesses"
BEARER = {"Authorization": f"Bearer {TOKEN}"}


async def page(request: Request) -> PlainTextResponse:
    return PlainTextResponse(f"page {request.url.query}")


async def echo(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text("hello")
    await websocket.close()


@pytest.fixture
def app() -> object:
    routes = [Route("/{path:path}", page, methods=["GET", "POST"]), WebSocketRoute("/graphql", echo)]
    return guarded(Starlette(routes=list(reversed(routes))), ["localhost", "127.0.0.1"], TOKEN)


def client_of(app: object, address: str = "http://localhost:3000") -> TestClient:
    return TestClient(app, base_url=address, follow_redirects=False)  # type: ignore[arg-type]


def test_without_the_token_nothing_is_told(app: object) -> None:
    answer = client_of(app).get("/runs")
    assert answer.status_code == 401
    assert answer.text.count("\n") == 1
    assert TOKEN not in answer.text


@pytest.mark.parametrize("wrong", ["", TOKEN[:-1], TOKEN + "x", "ü" * 20])
def test_a_wrong_token_is_refused_in_every_place(app: object, wrong: str) -> None:
    client = client_of(app)
    assert client.get("/", params={"token": wrong}).status_code == 401
    assert client.get("/", headers={"Authorization": f"Bearer {wrong}".encode()}).status_code == 401
    assert client.get("/", headers={"Cookie": f"vector_assets_3000={wrong}".encode()}).status_code == 401


def test_the_token_leaves_the_address_and_becomes_a_cookie(app: object) -> None:
    client = client_of(app)
    answer = client.get(f"/runs?view=all&token={TOKEN}&tag=a%26b")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/runs?view=all&tag=a%26b"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("vector_assets_3000=")
    assert "HttpOnly" in cookie
    assert "samesite=strict" in cookie.lower()
    assert client.get("/runs?view=all").text == "page view=all"


def test_a_redirect_never_leaves_the_host(app: object) -> None:
    answer = client_of(app).get(f"http://localhost:3000//evil.example/?token={TOKEN}")
    assert answer.headers["location"] == "/evil.example/"


def test_a_bearer_needs_no_cookie(app: object) -> None:
    assert client_of(app).post("/graphql2", headers=BEARER).status_code == 200


def test_two_servers_on_one_host_keep_their_cookies_apart(app: object) -> None:
    other_token = "another-token-entirely-here"
    other = guarded(Starlette(routes=[Route("/", page)]), ["localhost"], other_token)
    one, two = client_of(app), client_of(other, "http://localhost:5000")
    two.cookies = one.cookies
    assert one.get(f"/?token={TOKEN}").status_code == 303
    two.cookies.update(one.cookies)
    assert two.get(f"/?token={other_token}").status_code == 303
    one.cookies.update(two.cookies)
    assert (one.get("/").status_code, two.get("/").status_code) == (200, 200)


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example:3000"])
def test_a_foreign_host_name_is_refused_even_with_the_token(app: object, host: str) -> None:
    assert client_of(app).get("/", headers={**BEARER, "Host": host}).status_code == 400


def test_a_page_of_another_port_cannot_change_anything_with_our_cookie(app: object) -> None:
    client = client_of(app)
    client.get(f"/?token={TOKEN}")
    for origin in ("http://localhost:9999", "https://evil.example", "null"):
        assert client.post("/graphql2", headers={"Origin": origin}).status_code == 403
    assert client.post("/graphql2", headers={"Origin": "http://localhost:3000"}).status_code == 200


def test_a_websocket_needs_the_token(app: object) -> None:
    with pytest.raises(WebSocketDisconnect), client_of(app).websocket_connect("ws://localhost:3000/graphql"):
        pass
    with client_of(app).websocket_connect("ws://localhost:3000/graphql", headers=BEARER) as websocket:
        assert websocket.receive_text() == "hello"


def test_a_websocket_with_our_cookie_is_served_to_our_own_page_only(app: object) -> None:
    client = client_of(app)
    client.get(f"/?token={TOKEN}")
    cookies = {"Cookie": f"vector_assets_3000={TOKEN}", "Host": "localhost:3000"}
    with client.websocket_connect(
        "ws://localhost:3000/graphql", headers={**cookies, "Origin": "http://localhost:3000"}
    ) as websocket:
        assert websocket.receive_text() == "hello"
    foreign = {**cookies, "Origin": "http://localhost:9999"}
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("ws://localhost:3000/graphql", headers=foreign),
    ):
        pass


def test_a_websocket_under_a_foreign_host_is_refused(app: object) -> None:
    headers = {**BEARER, "Host": "evil.example"}
    with (
        pytest.raises(WebSocketDisconnect),
        client_of(app).websocket_connect("ws://localhost:3000/graphql", headers=headers),
    ):
        pass


def test_a_weak_guard_cannot_be_made() -> None:
    app = Starlette()
    with pytest.raises(RuntimeFault, match="shorter than 16"):
        guarded(app, ["localhost"], "")
    with pytest.raises(RuntimeFault, match="name the hosts"):
        guarded(app, ["*"], TOKEN)
    with pytest.raises(RuntimeFault, match="name the hosts"):
        guarded(app, [], TOKEN)
