"""What a reference to the environment stands for: read when it is needed, never shown."""

from __future__ import annotations

import os
import re
from urllib.parse import unquote

from vector_assets.errors import SourceError
from vector_assets.spec.base import variable_of

_PASSWORD = re.compile(r"://([^:/@\s]*):(.*)@")


def secret_url(reference: str, collection: str) -> str:
    """Return the URL that a reference names. Raises SourceError where the variable is not set."""
    name = variable_of(reference)
    value = os.environ.get(name, "").strip()
    if not value:
        raise SourceError(f"{collection}: the variable {name} is not set; expected the URL of the source in it")
    return value


def without_secrets(text: str, url: str) -> str:
    """Return a message as one line in which neither the URL's password nor anything like it stands."""
    line = " ".join(text.split())
    found = _PASSWORD.search(url)
    for secret in {found[2], unquote(found[2])} if found and found[2] else ():
        line = line.replace(secret, "***")
    return _PASSWORD.sub(r"://\1:***@", line)
