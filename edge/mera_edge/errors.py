"""One family of errors. Each says what is wrong, with what, and what to do about it."""

from __future__ import annotations

import copyreg
from typing import Any

from mera_edge.reasons import ReasonCode
from mera_edge.redaction import redacted_text

_LONGEST = 1500


def _readable(text: str) -> str:
    """Leave the middle of a text out that is longer than anybody reads."""
    if len(text) <= _LONGEST:
        return text
    return f"{text[: _LONGEST * 2 // 3]} … {text[-_LONGEST // 3 :]}"


class MeraError(Exception):
    """An error with a remedy.

    Attributes:
        what: what is wrong, with which file or device; addresses are shown without secrets.
        remedy: what the reader can do, in one sentence.
        exit_code: what the command line exits with.
    """

    exit_code = 2

    def __init__(self, what: str, remedy: str = "") -> None:
        self.what = _readable(redacted_text(what))
        super().__init__(self.what)
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.what}: {self.remedy}" if self.remedy else self.what

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors come from other processes, and `args` is not what a class was called with.
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


class InputError(MeraError):
    """A file, a row or a value that cannot be used."""


class ConfigError(MeraError):
    """A configuration key or value that cannot be used."""


class Unreachable(MeraError):
    """A peer that does not answer now, and may later."""


class SourceError(MeraError):
    """A camera, microphone or stream that does not answer; the code says why."""

    def __init__(self, code: ReasonCode, what: str, remedy: str = "") -> None:
        super().__init__(what, remedy)
        self.code = code


class BundleError(MeraError):
    """A bundle that is incomplete, altered, unsafe or of an unknown version."""


class EngineError(MeraError):
    """A model that the engine cannot load or run."""


_PACKAGES = {"mic": "apt install portaudio19-dev gcc python3-dev && "}
"""What an extra needs of the system, where that is Debian."""


class MissingExtra(MeraError):
    """A verb or a source that needs an optional set of packages."""

    def __init__(self, what: str, extra: str) -> None:
        first = _PACKAGES.get(extra, "")
        remedy = f"run: {first}pip install 'mera-edge[{extra}]'"
        super().__init__(f"{what} is not installed", remedy)


class CheckFailed(MeraError):
    """A gate or a check that said no: nothing is broken, the answer is no."""

    exit_code = 1
