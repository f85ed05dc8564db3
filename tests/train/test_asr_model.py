"""The conformer computes the same in chunks as on whole utterances."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from mera_edge.features.fbank import BINS
from mera_train.asr.encoder import ModelConfig
from mera_train.asr.model import Conformer


def conformer(**shape: int) -> Conformer:
    torch.manual_seed(0)
    config = ModelConfig(blocks=2, width=32, stem_channels=4, kernel_size=5, **shape)
    return Conformer(config, torch.full((BINS,), -6.0), torch.full((BINS,), 0.25), 11).eval()


def whole(model: Conformer, frames: Tensor) -> Tensor:
    with torch.no_grad():
        scores, _ = model(model.normalise(frames[None]), model.config.chunk_size)
    return scores[0].log_softmax(-1)


def in_chunks(model: Conformer, frames: Tensor) -> Tensor:
    config = model.config
    attention = torch.zeros(config.blocks, config.heads, config.left, 2 * config.width // 4)
    convolution = torch.zeros(config.blocks, 1, config.width, config.kernel_size - 1)
    visible = torch.zeros(1, 1, config.left + config.chunk_size, dtype=torch.bool)
    visible[..., config.left :] = True
    parts = []
    shift = config.chunk_size * config.subsampling_factor
    for first in range(0, len(frames) - config.window + 1, shift):
        window = frames[None, first : first + config.window]
        with torch.no_grad():
            part, attention, convolution = model.stream(
                window, torch.zeros(1, dtype=torch.int64), attention, convolution, visible
            )
        visible = torch.cat(
            [visible[..., config.chunk_size :], visible[..., -config.chunk_size :]], -1
        )
        parts.append(part[0])
    return torch.cat(parts)


@pytest.mark.parametrize("subsampling", [4, 8])
def test_streaming_equals_offline_at_equal_context(subsampling: int) -> None:
    model = conformer(subsampling_factor=subsampling, chunk_size=4, left_chunks=2)
    frames = torch.randn(600, BINS) * 4 - 6
    streamed = in_chunks(model, frames)
    assert len(streamed) > 3 * model.config.left
    torch.testing.assert_close(streamed, whole(model, frames)[: len(streamed)], atol=1e-4, rtol=0)


@settings(max_examples=15)
@given(st.integers(0, 99), st.sampled_from([1, 2, 4]))
def test_a_chunk_sees_itself_and_a_bounded_past_only(changed: int, chunk: int) -> None:
    model = conformer(subsampling_factor=4, chunk_size=chunk, left_chunks=2)
    config = model.config
    bias = model.bias(100, chunk, torch.device("cpu"))[0, 0]
    seen = (bias[:, changed] > -torch.inf).nonzero()[:, 0]
    first = changed // chunk * chunk
    assert seen.min() == first
    assert seen.max() == min(99, first + config.left + chunk - 1)


def test_padding_after_the_end_changes_nothing_before_its_chunk() -> None:
    model = conformer(chunk_size=4, left_chunks=2)
    frames = torch.randn(300, BINS)
    longer = torch.cat([frames, torch.randn(90, BINS)])
    kept = (300 - model.config.right_context) // model.config.subsampling_factor // 4 * 4
    torch.testing.assert_close(whole(model, longer)[:kept], whole(model, frames)[:kept])
