"""The inputs and outputs that stages require, and checks of models against them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from mera_edge.bundle.manifest import RoleEntry, RoleName, Tensor
from mera_edge.engine import Engine, TensorSpec
from mera_edge.errors import MeraError
from mera_edge.features.fbank import BINS
from mera_edge.labels import EMOTIONS, MODALITIES, OUTSIDE, to_emotion

Shape = tuple[int | str, ...]
"""Sizes; equal letters stand for equal sizes within an interface."""

_OTHER_DTYPES: Final = {
    "tokens": "int64", "offset": "int64", "required_cache_size": "int64", "attn_mask": "bool",
}  # fmt: skip
_ANSWER: Final[dict[str, Shape]] = {
    "probabilities": (1, "C"), "valence": (1, 1), "embedding": (1, "D"),
}  # fmt: skip


@dataclass(frozen=True)
class Interface:
    """Inputs and outputs of a role's model, without the caches of streaming models."""

    inputs: Mapping[str, Shape]
    outputs: Mapping[str, Shape] = field(default_factory=lambda: _ANSWER)


INTERFACES: Final[dict[str, Interface]] = {
    "vad": Interface({"frames": (1, "T", BINS)}, {"speech": (1, 1)}),
    "voice": Interface({"frames": (1, "T", BINS)}),
    "face_detector": Interface(
        {"picture": (1, 1, "H", "W")},
        {"confidence": (1, "N"), "boxes": (1, "N", 4), "landmarks": (1, "N", 10)},
    ),
    "face": Interface({"face": (1, 1, "S", "S")}),
    "text": Interface({"tokens": (1, "L")}),
    "fusion": Interface(
        {
            "voice": (1, "V"), "face": (1, "F"), "text": (1, "W"),
            "unimodal_probabilities": (1, 3, len(EMOTIONS)), "present": (1, 3), "age_s": (1, 3),
        },
        {"probabilities": (1, len(EMOTIONS)), "valence": (1, 1), "weights": (1, 3)},
    ),
    "asr": Interface(
        {
            "x": (1, "T", BINS), "offset": (1,), "required_cache_size": (1,),
            "attn_cache": ("N", "H", "A", "K"), "conv_cache": ("N", 1, "E", "B"),
            "attn_mask": (1, 1, "M"),
        },
        {
            "log_probs": (1, "U", "C"), "next_attn_cache": ("N", "H", "A", "K"),
            "next_conv_cache": ("N", 1, "E", "B"),
        },
    ),
}  # fmt: skip


def disagreements(entry: RoleEntry, engine: Engine) -> Iterator[str]:
    """Describe the differences between a model and its manifest entry."""
    for kind, said, found in (
        ("input", entry.inputs, engine.inputs),
        ("output", entry.outputs, engine.outputs),
    ):
        described = {tensor.name: _shown(tensor) for tensor in said}
        real = {name: _shown(spec) for name, spec in found.items()}
        for name in dict.fromkeys((*described, *real)):
            if described.get(name) != real.get(name):
                yield (
                    f"the {kind} {name} is {described.get(name, 'absent')} in the manifest,"
                    f" {real.get(name, 'absent')} in the model"
                )


def obstacles(role: str, entry: RoleEntry, engine: Engine) -> Iterator[str]:
    """Describe why a role's stage cannot use a model."""
    interface = INTERFACES.get(role)
    if interface is None:
        return
    sizes: dict[str, int] = {}
    for kind, wanted, found in (
        ("input", interface.inputs, engine.inputs),
        ("output", interface.outputs, engine.outputs),
    ):
        for name, shape in wanted.items():
            spec = found.get(name)
            dtype = _OTHER_DTYPES.get(name, "float32")
            if spec is None or spec.dtype.name != dtype or not _fits(shape, spec.shape, sizes):
                asked = f"{dtype} [{', '.join(map(str, shape))}]"
                yield f"the {kind} {name} must be {asked}, not {_shown(spec) if spec else 'absent'}"
    strange = [n for n in engine.inputs.keys() - interface.inputs if not n.startswith("cache_")]
    if strange:
        yield f"nothing is known of the input {min(strange)}"
    if len(sizes) == len({*_letters(interface.inputs), *_letters(interface.outputs)}):
        yield from _facts(role, entry, engine, sizes)


def mismatched_encoders(roles: Mapping[RoleName, RoleEntry]) -> Iterator[str]:
    """Describe encoders whose embeddings do not match the inputs of the fusion."""
    if "fusion" not in roles:
        return
    taken = {tensor.name: tensor.shape for tensor in roles["fusion"].inputs}
    for name in MODALITIES:
        if name in roles:
            given = {tensor.name: tensor.shape for tensor in roles[name].outputs}
            if taken.get(name) != given.get("embedding"):
                yield (
                    f"the fusion takes embeddings of shape {taken.get(name)} of {name}, which gives"
                    f" {given.get('embedding')}"
                )


def _facts(role: str, entry: RoleEntry, engine: Engine, sizes: Mapping[str, int]) -> Iterator[str]:
    """Check labels, settings and metadata against the sizes of the tensors."""
    interface = INTERFACES[role]
    if interface.outputs is _ANSWER:
        if len(entry.labels) != sizes["C"]:
            yield f"there are {len(entry.labels)} labels for {sizes['C']} probabilities"
        yield from _strange_labels(entry.labels)
    if "frames" in interface.inputs and entry.settings.get("chunk_frames") != sizes["T"]:
        yield f"chunk_frames is {entry.settings.get('chunk_frames')}, not {sizes['T']}"
    if "attn_mask" in interface.inputs:
        factor = engine.metadata.get("subsampling_factor", "")
        if not (factor.isdecimal() and 1 <= int(factor[:9]) * sizes["U"] <= sizes["T"]):
            yield f"subsampling_factor {factor!r} does not fit a window of {sizes['T']} frames"
        if sizes["M"] < sizes["U"]:
            yield f"attn_mask has {sizes['M']} places for chunks of {sizes['U']}"


def _strange_labels(labels: Sequence[str]) -> Iterator[str]:
    for label in labels:
        if label not in OUTSIDE:
            try:
                to_emotion(label)
            except MeraError as error:
                yield error.what


def _letters(shapes: Mapping[str, Shape]) -> set[str]:
    return {size for shape in shapes.values() for size in shape if isinstance(size, str)}


def _fits(shape: Shape, found: Sequence[int], sizes: dict[str, int]) -> bool:
    if len(shape) != len(found):
        return False
    return all(
        size == (sizes.setdefault(wanted, size) if isinstance(wanted, str) else wanted)
        for wanted, size in zip(shape, found, strict=True)
    )


def _shown(tensor: Tensor | TensorSpec) -> str:
    dtype = tensor.dtype if isinstance(tensor, Tensor) else tensor.dtype.name
    return f"{dtype} {list(tensor.shape)}"
