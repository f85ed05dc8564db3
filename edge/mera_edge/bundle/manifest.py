"""The manifest of a bundle, ``bundle.json``."""

from __future__ import annotations

import hashlib
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json

from mera_edge.errors import BundleError

SCHEMA: Final = "mera-edge/bundle/1"

MANIFEST: Final = "bundle.json"
MANIFEST_LIMIT: Final = 16 * 1000**2
"""Maximum size of `MANIFEST` in bytes."""

_AGAIN = "copy or export the bundle again"

RoleName = Literal["vad", "asr", "asr_final", "voice", "face_detector", "face", "text", "fusion"]
PublishedRole = Literal["vad", "voice", "face_detector", "face", "text"]
"""Roles in which a published model can replace the bundle's."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path).parts
    if not parts or path.startswith("/") or ".." in parts or {"\0", "\\", ":"} & set(path):
        raise ValueError(f"the path {path!r} leaves the bundle")
    return path


class _FrozenModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class FileEntry(_FrozenModel):
    """One file of a bundle."""

    path: Annotated[str, AfterValidator(_inside)] = Field(description="relative to the bundle")
    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)

    @classmethod
    def of(cls, path: Path) -> FileEntry:
        """Return the entry of a file at the top level of a bundle."""
        return cls(path=path.name, sha256=sha256(path), bytes=path.stat().st_size)


class Tensor(_FrozenModel):
    """One input or output of a model."""

    name: str
    shape: tuple[Annotated[int, Field(ge=1, le=2**24)], ...]
    dtype: Literal["float32", "int64", "bool"]
    unit: str = Field("", description="what the numbers are, for example `log-mel` or `seconds`")


class RoleEntry(_FrozenModel):
    """The model of one role, with everything needed to run, judge and cite it."""

    files: dict[str, FileEntry] = Field(
        description="`model`, what goes with it, and `tensorrt`: the model to build an engine from"
    )
    precision: Literal["fp32", "int8"] = Field(description="of `model`")
    tensorrt: Literal["fp16", "int8"] | None = Field(None, description="precision of `tensorrt`")
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    labels: tuple[str, ...] = Field((), description="the classifier's labels, in order")
    features: dict[str, Any] = Field({}, description="specification of what it must be fed")
    settings: dict[str, Any] = Field({}, description="facts of the model that its stage needs")
    calibration: dict[str, Any] = Field({}, description="how ranges or temperatures were found")
    metrics: dict[str, Any] = Field({}, description="measured on test material, by precision")
    licence: str = Field(description="of the weights, as far as the training data leaves it open")
    card: str = Field(description="the model card, Markdown")


class Manifest(_FrozenModel):
    """The contents of ``bundle.json``."""

    schema_: Literal["mera-edge/bundle/1"] = Field(SCHEMA, alias="schema")
    name: str
    created_with: dict[str, str] = Field(description="versions of the packages that made it")
    roles: dict[RoleName, RoleEntry]

    @property
    def id(self) -> str:
        """A hash of the models: twelve hexadecimal digits."""
        files = [
            (role, name, file.sha256)
            for role, entry in sorted(self.roles.items())
            for name, file in sorted(entry.files.items())
        ]
        return hashlib.sha256(repr(files).encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Return the text of ``bundle.json``; the output is deterministic."""
        return self.model_dump_json(by_alias=True, indent=1) + "\n"


def read(path: Path) -> Manifest:
    """Read ``bundle.json``.

    Raises:
        BundleError: it is missing, too large, not JSON, nested too deeply, or not a valid manifest.
    """
    try:
        if not path.is_file():
            raise BundleError(f"{path.parent} is not a bundle: {MANIFEST} is missing", _AGAIN)
        with path.open("rb") as file:
            data = file.read(MANIFEST_LIMIT + 1)
    except OSError as error:
        raise BundleError(f"{path} cannot be read ({error})", _AGAIN) from error
    if len(data) > MANIFEST_LIMIT:
        raise BundleError(f"{path} has more than {MANIFEST_LIMIT} bytes", _AGAIN)
    try:
        facts = from_json(data, allow_inf_nan=False)
    except ValueError as error:
        raise BundleError(f"{path} is not JSON ({error})", _AGAIN) from error
    schema = facts.get("schema") if isinstance(facts, dict) else None
    if schema != SCHEMA:
        raise BundleError(
            f"{path} has schema {str(schema)[:100]!r}, but this version reads {SCHEMA!r}",
            "export the bundle with this version, or install the version that made it",
        )
    try:
        return Manifest.model_validate(facts)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise BundleError(f"{path}: {where[:100]}: {first['msg'][:200]}", _AGAIN) from error


def sha256(path: Path) -> str:
    """Return the hexadecimal SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
