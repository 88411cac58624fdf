"""One request to an OpenAI-compatible ``/embeddings`` endpoint, and whose fault it is when it fails.

Address and key come from the environment of the process and from nowhere else: whoever may write a declaration or ask a
question cannot choose where texts are sent. The key stands in no message.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from vector_assets.errors import EncoderError, ProviderBusy
from vector_assets.records import Vectors

if TYPE_CHECKING:
    import httpx

URL_VARIABLE = "VECTOR_ASSETS_PROVIDER_URL"
KEY_VARIABLE = "VECTOR_ASSETS_PROVIDER_KEY"
_TIMEOUT_SECONDS, _CONNECT_SECONDS = 60.0, 10.0
_SAID = 200
# Later it may be well: time-outs, conflicts of a starting server, limits of rate. So may everything from 500 on.
_BUSY = frozenset((408, 409, 425, 429))
# What one input can cause: too long, or a content that is refused.
_ROW = frozenset((400, 413, 422))


class Endpoint:
    """The provider that the environment names."""

    def __init__(self, url: str, key: str | None) -> None:
        """Use ``from_environment`` instead. Raises EncoderError for what is no plain http address."""
        import httpx

        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, TypeError):
            parsed = httpx.URL("")
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise EncoderError(f"{URL_VARIABLE} is no address; expected https://host/v1")
        if parsed.userinfo:
            raise EncoderError(f"{URL_VARIABLE} holds a user or password; expected it without, and {KEY_VARIABLE} set")
        self.host = parsed.netloc.decode()
        self._url = parsed.copy_with(path=parsed.path.rstrip("/") + "/embeddings")
        self._key = key
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        timeout = httpx.Timeout(_TIMEOUT_SECONDS, connect=_CONNECT_SECONDS)
        self._client: httpx.Client = httpx.Client(headers=headers, timeout=timeout, follow_redirects=False)

    @classmethod
    def from_environment(cls) -> Endpoint:
        """Return the endpoint; raises EncoderError when none is named."""
        url = os.environ.get(URL_VARIABLE)
        if not url:
            raise EncoderError(f"{URL_VARIABLE} is not set; expected the address of the provider, https://host/v1")
        return cls(url, os.environ.get(KEY_VARIABLE) or None)

    def embed(self, model: str, texts: Sequence[str]) -> tuple[Vectors, int]:
        """Return the vectors as the provider gives them, (n, dims) float32, and the tokens it counted.

        Raises ProviderBusy when it may be well later, ValueError when an input is refused, else EncoderError.
        """
        import httpx

        try:
            response = self._client.post(self._url, json={"model": model, "input": list(texts)})
        except httpx.TimeoutException:
            raise ProviderBusy(f"the provider at {self.host} does not answer; try again later") from None
        except httpx.TransportError as error:
            raise ProviderBusy(f"the provider at {self.host} cannot be reached: {self._clean(str(error))}") from None
        self._judge(response, model)
        return self._read(response, len(texts))

    def _judge(self, response: httpx.Response, model: str) -> None:
        code = response.status_code
        if code == 200:
            return
        said = f"the provider at {self.host} answers {code}"
        reason = self._clean(response.text)
        if code in _BUSY or code >= 500:
            raise ProviderBusy(f"{said}: {reason}", retry_after=retry_after(response.headers.get("Retry-After")))
        if code in _ROW:
            raise ValueError(f"{said}: {reason}")
        if code in (401, 403):
            raise EncoderError(f"{said}: it refuses the key; set {KEY_VARIABLE}")
        if code == 404:
            raise EncoderError(f"{said}: no model {model}, or no /embeddings below {URL_VARIABLE}")
        raise EncoderError(f"{said}, which is no answer of an OpenAI-compatible /embeddings; correct {URL_VARIABLE}")

    def _read(self, response: httpx.Response, count: int) -> tuple[Vectors, int]:
        try:
            body: Any = response.json()
            found = sorted(body["data"], key=lambda item: item["index"])
            if [item["index"] for item in found] != list(range(count)):
                raise ValueError("other indexes than were asked for")
            vectors = np.array([item["embedding"] for item in found], dtype=np.float32).reshape(count, -1)
            tokens = int((body.get("usage") or {}).get("total_tokens") or 0)
        except (ValueError, TypeError, KeyError, AttributeError):
            raise EncoderError(
                f"the provider at {self.host} answers with something else than {count} vectors; expected the format "
                "of OpenAI's /embeddings"
            ) from None
        return vectors, tokens

    def _clean(self, text: str) -> str:
        """Make what a provider said one short line without the key, which some repeat."""
        if self._key:
            text = text.replace(self._key, "***")
        return " ".join(text.split())[:_SAID]


def retry_after(value: str | None) -> float | None:
    """Read the header: seconds, or a date (RFC 9110, 10.2.3); None when it says nothing."""
    if not value:
        return None
    try:
        return max(float(value), 0.0)
    except ValueError:
        pass
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError):
        return None
