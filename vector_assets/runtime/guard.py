"""Who may talk to what `up` serves: a Host allow-list, and a token per start.

Loopback is not authentication: whoever reaches the Dagster UI runs code as its owner.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from urllib.parse import urlencode, urlsplit

from starlette.datastructures import URL
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from vector_assets.errors import RuntimeFault

_READING = ("GET", "HEAD", "OPTIONS")
_REFUSED = "401: open the address that vector-assets up printed, or send Authorization: Bearer TOKEN"


def guarded(app: ASGIApp, allowed_hosts: Sequence[str], token: str) -> ASGIApp:
    """The app behind both guards. Hosts are named without a port; `*.example.com` is allowed, `*` is not."""
    if len(token) < 16:
        raise RuntimeFault("the token is shorter than 16 characters: anybody could guess it")
    if "*" in allowed_hosts or not allowed_hosts:
        raise RuntimeFault("name the hosts that may be asked for: neither none nor * keeps foreign pages out")
    inner = TokenMiddleware(app, token=token)
    return TrustedHostMiddleware(inner, allowed_hosts=list(allowed_hosts), www_redirect=False)


class TokenMiddleware:
    """Lets a request or websocket through that carries the token as `?token=`, cookie or bearer.

    `?token=` on a page becomes an HttpOnly, SameSite=Strict cookie and leaves the address. A browser that
    asks from another origin (websockets, and requests that change something) is refused even with the
    cookie: cookies are shared by all ports of a host.
    """

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, redirect, or refuse."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        by_address = self._is_token(connection.query_params.get("token"))
        if not (by_address or self._is_token(_bearer(connection)) or self._is_token(_cookie(connection))):
            await _refuse(scope, receive, send, status=401, text=_REFUSED)
        elif _is_foreign(connection):
            text = "403: a page of another origin may not do this"
            await _refuse(scope, receive, send, status=403, text=text)
        elif by_address and scope.get("method") in ("GET", "HEAD"):
            await self._remember(connection)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_token(self, given: str | None) -> bool:
        return given is not None and hmac.compare_digest(given.encode(), self._token)

    def _remember(self, connection: HTTPConnection) -> RedirectResponse:
        rest = [(key, value) for key, value in connection.query_params.multi_items() if key != "token"]
        # One slash only: //name would send the browser to another host.
        path = "/" + URL(scope=connection.scope).path.lstrip("/")
        response = RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, status_code=303)
        response.set_cookie(
            cookie_name(connection),
            self._token.decode(),
            httponly=True,
            samesite="strict",
            secure=connection.url.scheme == "https",
        )
        response.headers["Cache-Control"] = "no-store"
        response.headers["Referrer-Policy"] = "no-referrer"
        return response


def cookie_name(connection: HTTPConnection) -> str:
    """One name per port as the browser sees it, for two servers on one host share their cookies."""
    _, _, named = connection.headers.get("host", "").rpartition(":")
    port = named if named.isascii() and named.isdigit() else None
    return f"vector_assets_{port or (443 if connection.url.scheme in ('https', 'wss') else 80)}"


def _cookie(connection: HTTPConnection) -> str | None:
    return connection.cookies.get(cookie_name(connection))


def _bearer(connection: HTTPConnection) -> str | None:
    kind, _, value = connection.headers.get("authorization", "").partition(" ")
    return value.strip() if kind.lower() == "bearer" else None


def _is_foreign(connection: HTTPConnection) -> bool:
    """Whether a browser sends this from a page that this host, which is on the allow-list, did not serve."""
    origin = connection.headers.get("origin")
    if origin is None or connection.scope.get("method") in _READING:
        return False
    return urlsplit(origin).netloc.lower() != connection.headers.get("host", "").lower()


async def _refuse(scope: Scope, receive: Receive, send: Send, *, status: int, text: str) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": text})
        return
    await PlainTextResponse(f"{text}\n", status_code=status)(scope, receive, send)
