"""``{{ env.NAME }}`` in a declaration: rendered before it is validated, in a sandbox."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from jinja2 import TemplateError, Undefined
from jinja2.nativetypes import NativeEnvironment
from jinja2.sandbox import SandboxedEnvironment


class TemplateFault(Exception):
    """A value cannot be rendered; the message says why and what was expected."""


class _Unset(Undefined):
    """A variable that is not set: false, so that ``or`` and ``default`` work, but never text."""

    __str__ = __iter__ = __len__ = Undefined._fail_with_undefined_error


class _Variables:
    """The environment by item only: an attribute such as ``keys`` would hide the variable of that name."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables = variables

    def __getitem__(self, name: str) -> str:
        return self._variables[name]


def _joined(parts: Iterable[object]) -> object:
    # NativeEnvironment would read "007" as Python; the model decides what a text means, here nothing does.
    found = list(parts)
    return found[0] if len(found) == 1 else "".join(map(str, found))


class _Environment(SandboxedEnvironment, NativeEnvironment):
    concat = staticmethod(_joined)  # type: ignore[assignment]


def render(text: str, variables: Mapping[str, str] | None = None) -> object:
    """Return the value of a text with templates; the text itself when it has none. Raises TemplateFault."""
    if "{{" not in text and "{%" not in text:
        return text
    environment = _Environment(undefined=_Unset)
    try:
        value = environment.from_string(text).render(env=_Variables(os.environ if variables is None else variables))
    except TemplateError as error:
        raise TemplateFault(_why(str(error))) from error
    except Exception as error:
        # Whatever an expression raises (1/0, a call of None) is a fault of the declaration.
        raise TemplateFault(
            f"cannot be rendered ({type(error).__name__}: {error}); expected {{{{ env.NAME }}}}"
        ) from error
    if isinstance(value, Undefined):
        raise TemplateFault(_unset(value._undefined_name))
    if not isinstance(value, str | int | float | bool | None):
        raise TemplateFault(f"gives {type(value).__name__}; expected {{{{ env.NAME }}}}")
    return value


def _unset(name: str | None) -> str:
    if name == "env" or not name:
        return "names no variable; expected {{ env.NAME }}"
    return f"the variable {name} is not set; expected it in the environment, or {{{{ env.{name} or 'a default' }}}}"


def _why(message: str) -> str:
    text = " ".join(message.split())
    if "is undefined" in text:
        return f"{text}; expected {{{{ env.NAME }}}}"
    if "has no attribute" in text:
        return _unset(text.rpartition("attribute")[2].strip(" '"))
    return f"is no template ({text}); expected {{{{ env.NAME }}}}"
