"""The exceptions of mera-edge. Each states what is wrong, with what, and the remedy."""

from __future__ import annotations

import copyreg
from typing import Any

from mera_edge.reasons import ReasonCode
from mera_edge.redaction import redacted_text

_LONGEST = 1500


def _readable(text: str) -> str:
    """Shorten a long text in the middle."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST * 2 // 3]} … {text[-_LONGEST // 3 :]}"


class MeraError(Exception):
    """An error with a remedy.

    Attributes:
        what: what is wrong, with which file or device; secrets in addresses are redacted.
        remedy: what the user can do, in one sentence.
        exit_code: exit code of the command line.
    """

    exit_code = 2

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = _readable(redacted_text(what))
        super().__init__(self.what)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}" if self.remedy else self.what

    def __reduce__(self) -> tuple[Any, ...]:
        # For pickling between processes: `args` are not the arguments of `__init__`.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class InputError(MeraError):
    """An unusable file, row or value."""


class ConfigError(MeraError):
    """An unusable configuration key or value."""


class Unreachable(MeraError):
    """A peer that is temporarily unreachable."""


class SourceError(MeraError):
    """A failure of a camera, microphone or stream; the code gives the reason."""

    def __init__(self, code: ReasonCode, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.code = code


class BundleError(MeraError):
    """A bundle that is incomplete, altered, unsafe or of an unknown version."""


class EngineError(MeraError):
    """A model that the engine cannot load or run."""


_PACKAGES = {"mic": "apt install portaudio19-dev gcc python3-dev && "}
"""System packages that an extra needs on Debian."""


class MissingExtra(MeraError):
    """An optional dependency (extra) that is not installed."""

    def __init__(self, what: str, extra: str) -> None:
        first = _PACKAGES.get(extra, "")
        remedy = f"run: {first}pip install 'mera-edge[{extra}]'"
        super().__init__(f"{what} is not installed", remedy)


class CheckFailed(MeraError):
    """A gate or check with a negative result; not a malfunction."""

    exit_code = 1
