"""A real HTTP server that speaks OpenAI's /embeddings and fails by a script."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fakes import KeywordEncoder

KEY = "sk-very-secret"


@dataclass
class Provider:
    """What the server is to do next, and what it was asked."""

    encoder: KeywordEncoder = field(default_factory=KeywordEncoder)
    script: list[tuple[int, dict[str, str], str]] = field(default_factory=list)  # answers before it is well
    asked: list[list[str]] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    url: str = ""
    slow: float = 0.0
    scale: float = 3.0  # vectors are not of length 1
    body: str | None = None

    def fail(self, *codes: int, headers: dict[str, str] | None = None, body: str = "") -> None:
        self.script += [(code, headers or {"Retry-After": "0"}, body) for code in codes]

    def answer(self, texts: list[str]) -> tuple[int, dict[str, str], str]:
        if self.script:
            return self.script.pop(0)
        if any("refused" in text for text in texts):
            return 400, {}, json.dumps({"error": {"message": "input is not allowed"}})
        vectors = self.encoder.encode_queries(texts) * self.scale
        data = [{"index": i, "embedding": vector.tolist()} for i, vector in enumerate(vectors)]
        for item, text in zip(data, texts, strict=True):
            if "no number" in text:
                item["embedding"] = [float("nan")] * self.encoder.dims
        found = {"data": data[::-1], "usage": {"total_tokens": 2 * len(texts)}}
        return 200, {}, self.body if self.body is not None else json.dumps(found)


@contextmanager
def serving() -> Iterator[Provider]:
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            assert (self.path, body["model"]) == ("/v1/embeddings", "tiny")
            provider.asked.append(body["input"])
            provider.keys.append(self.headers["Authorization"])
            time.sleep(provider.slow)
            code, headers, text = provider.answer(body["input"])
            self.send_response(code)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    provider.url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield provider
    finally:
        server.shutdown()
        server.server_close()
