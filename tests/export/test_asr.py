"""One ONNX file, three runtimes: torch, mera-edge and sherpa-onnx agree.

The network has random weights: it writes nonsense, which is as good for comparing transcripts.
"""

import shutil
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import sherpa_onnx
import torch
from numpy.typing import NDArray
from sherpa import theirs as by_sherpa

from mera_calibration.activation_ranges import measure_ranges
from mera_calibration.calibration_set import CalibrationSet, Example, Sample
from mera_calibration.qdq import preset_for, prove, quantize, write
from mera_edge.asr import Recognizer, finalized
from mera_edge.asr.decoding.ctc import Greedy
from mera_edge.asr.decoding.hypothesis_scorer import HypothesisScorer, RescoringModels
from mera_edge.asr.decoding.lexicon import Lexicon
from mera_edge.asr.decoding.ngram_lm import LanguageModel
from mera_edge.asr.decoding.rescoring import combine
from mera_edge.asr.decoding.subwords import bpe_encode, words
from mera_edge.asr.decoding.word_search import WordSearch
from mera_edge.bundle import SCHEMA, Bundle, Manifest
from mera_edge.bundle.manifest import FileEntry
from mera_edge.config import RecognitionSettings
from mera_edge.errors import BundleError, InputError
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import FLOOR, LogMel, log_mel
from mera_export import asr
from mera_train import checkpoint
from mera_train.asr.config import Config
from mera_train.asr.encoder import ModelConfig
from mera_train.asr.lexicon import vocabulary
from mera_train.asr.model import Conformer
from mera_train.asr.networks import build
from mera_train.asr.ngrams import estimate

SYMBOLS = ["<blk>", "▁t", "he", "▁a", "s", "▁w", "in"]
CONFIG = Config(
    model=ModelConfig(blocks=2, width=32, stem_channels=4, kernel_size=5, phone_head_block=1),
    symbols=SYMBOLS,
)


@pytest.fixture(scope="module")
def model() -> Conformer:
    return network(CONFIG)


def network(config: Config) -> Conformer:
    torch.manual_seed(4)
    frames = torch.from_numpy(log_mel(sound(6.0, seed=9)))
    model = Conformer(config.model, frames.mean(0), 1 / frames.std(0), len(config.symbols)).eval()
    with torch.no_grad():
        model.head.weight.mul_(10)
        # No class is preferred, so that what it hears decides what it writes.
        scores, _ = model(model.normalise(frames[None]), CONFIG.model.chunk_size)
        model.head.bias.sub_(scores.mean(dim=(0, 1)))
    return model


@pytest.fixture(scope="module")
def bundle(model: Conformer, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    directory = tmp_path_factory.mktemp("asr")
    checkpoint.save(directory / "checkpoint", model, CONFIG, {"wer": 1.0}, "nonsense")
    out = directory / "bundle"
    out.mkdir()
    entry = asr.export(directory / "checkpoint", out)
    manifest = Manifest(schema=SCHEMA, name="test", created_with={}, roles={"asr": entry})
    (out / "bundle.json").write_text(manifest.to_json())
    return Bundle.open(out)


@pytest.fixture(scope="module")
def small(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The same in eight bits."""
    directory = tmp_path_factory.mktemp("small")
    heard = [Sample(Example(str(s), "", "", int), 0.0, log_mel(sound(3.0, s))) for s in range(8)]
    chosen, operators = CalibrationSet("asr", 0, tuple(heard)), preset_for("asr").operators
    ranges = measure_ranges(ROLE_EVALUATORS["asr"], bundle, chosen, "minmax", operators)
    entry = bundle.role("asr").entry
    shutil.copyfile(bundle.role("asr").path("tokens"), directory / "asr-tokens.txt")
    full = bundle.role("asr").path()
    write(quantize(onnx.load(full), ranges, preset_for("asr")), directory / "asr.onnx")
    prove(full, directory / "asr.onnx")
    files = {**entry.files, "model": FileEntry.of(directory / "asr.onnx")}
    now = entry.model_copy(update={"files": files, "precision": "int8"})
    return Bundle(directory, bundle.manifest.model_copy(update={"roles": {"asr": now}}))


def sound(seconds: float, seed: int = 0) -> NDArray[np.float32]:
    """Noise whose colour and loudness change a few times a second."""
    generator = np.random.default_rng(seed)
    pieces = []
    for _ in range(int(seconds * 5)):
        noise = generator.normal(size=3200).cumsum() if generator.random() < 0.5 else (
            generator.normal(size=3200)
        )  # fmt: skip
        pieces.append(noise / np.abs(noise).max() * generator.uniform(0.01, 0.5))
    return np.concatenate(pieces).astype(np.float32)


def transcribe(recognizer: Recognizer, samples: NDArray[np.float32], piece: int = 1600) -> str:
    front_end, at = LogMel(), 0
    for first in range(0, len(samples), piece):
        part = samples[first : first + piece]
        at += len(part)
        recognizer.accept(AudioBlock(front_end.accept(part), at / 16_000))
    recognizer.accept(AudioBlock(front_end.flush(), at / 16_000))
    recognizer.flush()
    return finalized(recognizer).text


def test_the_interface_is_that_of_wenet(bundle: Bundle) -> None:
    session = onnxruntime.InferenceSession(str(bundle.role("asr").path()))
    assert [(node.name, node.type, node.shape) for node in session.get_inputs()] == [
        ("x", "tensor(float)", [1, 71, 80]),
        ("offset", "tensor(int64)", [1]),
        ("required_cache_size", "tensor(int64)", [1]),
        ("attn_cache", "tensor(float)", [2, 4, 32, 16]),
        ("conv_cache", "tensor(float)", [2, 1, 32, 4]),
        ("attn_mask", "tensor(bool)", [1, 1, 40]),
    ]
    assert [node.shape for node in session.get_outputs()] == [
        [1, 8, len(SYMBOLS)], [2, 4, 32, 16], [2, 1, 32, 4],
    ]  # fmt: skip
    metadata = session.get_modelmeta().custom_metadata_map
    assert metadata["right_context"] == "14"
    assert metadata["subsampling_factor"] == "8"


def test_streaming_on_the_device_equals_torch_offline(bundle: Bundle, model: Conformer) -> None:
    frames = log_mel(sound(6.0))
    engine, parts = bundle.role("asr").engine(), []
    feeds = {name: np.zeros(spec.shape, spec.dtype) for name, spec in engine.inputs.items()}
    feeds["attn_mask"][..., 32:] = True
    for first in range(0, len(frames) - 70, 64):
        feeds["x"][0] = frames[first : first + 71]
        parts.append(engine.run(feeds))
        feeds["attn_cache"] = parts[-1]["next_attn_cache"]
        feeds["conv_cache"] = parts[-1]["next_conv_cache"]
        feeds["attn_mask"] = np.roll(feeds["attn_mask"], -8)
        feeds["attn_mask"][..., 32:] = True
    streamed = np.concatenate([part["log_probs"][0] for part in parts])
    with torch.no_grad():
        scores, _ = model(model.normalise(torch.from_numpy(frames[None])), CONFIG.model.chunk_size)
    offline = scores[0].log_softmax(-1).numpy()[: len(streamed)]
    assert np.abs(streamed - offline).max() < 1e-4

    greedy = Greedy()
    greedy.accept(offline)
    recognizer = Recognizer(bundle)
    recognizer.accept(AudioBlock(frames, 6.0))
    expected = "".join(SYMBOLS[token.symbol] for token in greedy.tokens).replace("▁", " ")
    assert recognizer.partial().text == expected.strip()
    assert len(greedy.tokens) > 10


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("precision", ["bundle", "small"])
def test_sherpa_onnx_writes_the_same_from_the_same_file(
    precision: str, seed: int, request: pytest.FixtureRequest
) -> None:
    bundle: Bundle = request.getfixturevalue(precision)
    samples = sound(5.0, seed)
    theirs, _ = by_sherpa(bundle)(samples)
    ours = Recognizer(bundle)
    ours.accept(AudioBlock(LogMel().accept(samples), 5.0))
    assert ours.partial().text == theirs
    assert ours.partial().text


def test_result_is_independent_of_chunking(bundle: Bundle) -> None:
    samples = sound(4.0)
    texts = {transcribe(Recognizer(bundle), samples, piece) for piece in (160, 1234, 64_000)}
    assert len(texts) == 1


def test_after_flush_and_reset_it_is_as_new(bundle: Bundle) -> None:
    recognizer = Recognizer(bundle)
    transcribe(recognizer, sound(3.0, seed=1))
    recognizer.reset()
    assert recognizer.partial() == Recognizer(bundle).partial()
    assert not recognizer.partial().final
    assert transcribe(recognizer, sound(3.0)) == transcribe(Recognizer(bundle), sound(3.0))


@pytest.mark.parametrize("samples", [0, 1, 160, 1000, 11_000])
def test_very_short_input_ends_cleanly(bundle: Bundle, samples: int) -> None:
    recognizer = Recognizer(bundle)
    transcribe(recognizer, sound(1.0)[:samples])
    after = finalized(recognizer)
    assert (after.text, after.final) == ("", True)


def test_words_lie_in_order_within_the_stream(bundle: Bundle) -> None:
    recognizer = Recognizer(bundle)
    recognizer.accept(
        AudioBlock(log_mel(sound(4.0)), 14.0)
    )  # the stream was at 10 s when they began
    recognizer.flush()
    final = finalized(recognizer)
    words = final.words
    assert words
    times = [time for word in words for time in (word.start_s, word.end_s)]
    assert times == sorted(times)
    assert times[0] >= 10.0
    assert times[-1] <= final.end_s == 14.0
    assert all(0 < word.confidence <= 1 for word in words)


def test_no_audio_is_lost_at_an_endpoint(bundle: Bundle) -> None:
    frames = log_mel(sound(4.0))
    recognizer, later = Recognizer(bundle), Recognizer(bundle)
    recognizer.accept(AudioBlock(frames[:100], 1.0))  # one window of 64 frames is decoded
    assert finalized(recognizer).end_s == pytest.approx(0.64)
    recognizer.accept(AudioBlock(frames[100:], 4.0))
    later.accept(AudioBlock(frames[64:], 4.0))
    first = finalized(recognizer)
    assert first == finalized(later)
    recognizer.flush()
    last = finalized(recognizer)
    assert last.end_s == 4.0
    assert all(word.start_s >= first.end_s for word in last.words)


def test_endpoint_rules(bundle: Bundle) -> None:
    long = Recognizer(bundle, RecognitionSettings(rule3_min_utterance_length=2.0))
    long.accept(AudioBlock(log_mel(sound(2.0)), 2.0))
    assert not long.is_endpoint()
    long.accept(AudioBlock(log_mel(sound(2.0)), 4.0))
    assert long.is_endpoint()
    assert not long.partial().final
    assert finalized(long).final
    assert not long.is_endpoint()
    silent = Recognizer(bundle, RecognitionSettings(rule1_min_trailing_silence=1.0))
    silent._heard_s = 5.0
    silent._decoder.accept(np.log(np.eye(1, len(SYMBOLS), dtype=np.float32) + 1e-9).repeat(12, 0))
    assert not silent.is_endpoint()
    silent._decoder.accept(np.log(np.eye(1, len(SYMBOLS), dtype=np.float32) + 1e-9).repeat(1, 0))
    assert silent.is_endpoint()


def test_other_features_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    entry = bundle.manifest.roles["asr"]
    other = entry.model_copy(update={"features": {**entry.features, "bins": 40}})
    manifest = bundle.manifest.model_copy(update={"roles": {"asr": other}})
    with pytest.raises(BundleError, match="bins"):
        Recognizer(Bundle(bundle.directory, manifest))


def test_hot_words_are_spelt_as_the_units_were_learnt() -> None:
    symbols = ["<blk>", "▁s", "ee", "▁see", "▁", "s", "e", "n"]
    assert [symbols[unit] for unit in bpe_encode("See  seen", symbols)] == [
        "▁see",
        "▁see",
        "n",
    ]
    with pytest.raises(InputError, match="cannot write 'x'"):
        bpe_encode("sexes", symbols)


def test_a_bundle_with_a_language_model_searches_wider(bundle: Bundle, tmp_path: Path) -> None:
    directory = tmp_path / "bundle"
    shutil.copytree(bundle.directory, directory)
    path = directory / "asr-language_model.npz"
    np.savez(path, **estimate([[1, 2], [2, 1]], len(SYMBOLS)), weight=0.5, bonus=1.0)
    entry = bundle.manifest.roles["asr"]
    files = {**entry.files, "language_model": FileEntry.of(path)}
    roles = {"asr": entry.model_copy(update={"files": files})}
    wider = Bundle(directory, bundle.manifest.model_copy(update={"roles": roles}))
    frames = log_mel(sound(4.0))
    texts = {}
    for search in (None, "beam", "greedy"):
        recognizer = Recognizer(wider, RecognitionSettings(search=search))
        recognizer.accept(AudioBlock(frames, 4.0))
        texts[search] = recognizer.partial()
    plain = Recognizer(bundle)
    plain.accept(AudioBlock(frames, 4.0))
    assert texts[None] == texts["beam"] != texts["greedy"] == plain.partial()


def test_the_second_pass_hears_phones_in_the_cache(bundle: Bundle, tmp_path: Path) -> None:
    # It has to be able to write whatever it hears.
    symbols = [*SYMBOLS, "▁"]
    config = CONFIG.model_copy(update={"symbols": symbols})
    model, trained = network(config), tmp_path / "checkpoint"
    checkpoint.save(trained, model, config, {"wer": 1.0}, "nonsense")
    said = {"the": [(9, 4), (9, 12)], "as": [(12, 30)], "win": [(20, 3, 7)], "tin": [(33, 7)]}
    np.savez(
        trained / "words.npz",
        **vocabulary(said, ["the win as tin", "win win the"] * 9),
        phone_weights=model.phones.weight.detach().numpy().T,
        phone_bias=model.phones.bias.detach().numpy(),
        log_prior=np.zeros(40, np.float16),
        block=1,
        weight=0.1,
        bonus=2.0,
        by_language=1.0,
        by_unit=1.0,
        by_sound=1.0,
    )
    with pytest.raises(InputError, match="language model"):
        asr.export(trained, tmp_path)
    path = trained / "language_model.npz"
    np.savez(path, **estimate([[1, 2], [3, 4, 5, 6]], len(symbols)), weight=0.5, bonus=1.0)
    roles = {"asr": asr.export(trained, tmp_path)}
    wordy = Bundle(tmp_path, bundle.manifest.model_copy(update={"roles": roles}))
    recognizer, frames = Recognizer(wordy), log_mel(sound(3.0))
    for first in range(0, 300, 30):
        recognizer.accept(AudioBlock(frames[first : first + 30], (first + 30) / 100))
    beam = Recognizer(wordy, RecognitionSettings(search="beam"))
    beam.accept(AudioBlock(frames, 3.0))
    assert not beam.partial().final
    assert recognizer.partial() == beam.partial(), "before the end it is the first pass's"
    recognizer.flush()
    beam.flush()
    # The same from the network that was trained, and the whole utterance at once.
    heard = recognizer._decoder.frames
    silence = np.full((200, 80), FLOOR, np.float32)
    everything = torch.from_numpy(np.concatenate([frames, silence]))[None]
    with torch.inference_mode():
        units, phones = model(model.normalise(everything), CONFIG.model.chunk_size)
    units, phones = units[0, :heard].log_softmax(-1), phones[0, :heard].flatten(0, 1)
    lexicon = Lexicon(tmp_path / "asr-words.npz")
    search = WordSearch(lexicon)
    search.accept(phones.log_softmax(-1).numpy())
    language = LanguageModel(path, len(symbols))
    scorer = HypothesisScorer(
        RescoringModels(lexicon, language, symbols), units.numpy(), phones.log_softmax(-1).numpy()
    )
    first_pass = [words(text, symbols) for text in beam._decoder.texts]
    best = combine(scorer, [*first_pass, search.words])
    final = finalized(recognizer)
    assert final.text == " ".join(best)
    assert search.words and final.final
    for word, after in pairwise(final.words):
        assert 0 <= word.start_s < word.end_s <= after.end_s <= 3.0
    greedy = Recognizer(wordy, RecognitionSettings(search="greedy"))
    greedy.accept(AudioBlock(frames, 3.0))
    assert greedy.partial().text != beam.partial().text
    with pytest.raises(BundleError, match="no lexicon"):
        Recognizer(bundle, RecognitionSettings(search="words"))


def test_a_greedy_search_refuses_hot_words() -> None:
    with pytest.raises(ValueError, match="use beam"):
        RecognitionSettings(search="greedy", hot_words=("anna",))


@pytest.mark.parametrize("chunk", [4, 2])
def test_smaller_chunks_are_the_same_network(
    bundle: Bundle, model: Conformer, tmp_path: Path, chunk: int
) -> None:
    trained = bundle.directory.parent / "checkpoint"
    entry = asr.export(trained, tmp_path, chunk)
    assert entry.settings["chunk_size"] == chunk
    recognizer = Recognizer(
        Bundle(tmp_path, bundle.manifest.model_copy(update={"roles": {"asr": entry}}))
    )
    frames = log_mel(sound(3.0))
    recognizer.accept(AudioBlock(frames, 3.0))
    with torch.inference_mode():
        scores, _ = model(model.normalise(torch.from_numpy(frames)[None]), chunk)
    search = Greedy()
    search.accept(scores[0, : recognizer._decoder.frames].log_softmax(-1).numpy())
    assert [t.symbol for t in search.tokens] == [t.symbol for t in recognizer._decoder.tokens]
    with pytest.raises(InputError, match="not a whole number"):
        asr.export(trained, tmp_path, 5)


def test_deepspeech2_streams_through_the_same_interface(tmp_path: Path) -> None:
    shape = ModelConfig(
        kind="deepspeech2", blocks=2, width=32, stem_channels=4, heads=1, kernel_size=3
    )
    config = Config(model=shape, symbols=SYMBOLS)
    torch.manual_seed(3)
    frames = log_mel(sound(4.0))
    normal = torch.from_numpy(frames.mean(0)), torch.from_numpy(1 / frames.std(0))
    network = build(shape, *normal, len(SYMBOLS)).eval()
    with torch.no_grad():
        network.head.weight.mul_(10)
    checkpoint.save(tmp_path / "checkpoint", network, config, {"wer": 1.0}, "nonsense")
    entry = asr.export(tmp_path / "checkpoint", tmp_path)
    manifest = Manifest(schema=SCHEMA, name="test", created_with={}, roles={"asr": entry})
    recognizer = Recognizer(Bundle(tmp_path, manifest))
    recognizer.accept(AudioBlock(frames, 4.0))
    with torch.inference_mode():
        scores, _ = network(network.normalise(torch.from_numpy(frames)[None]), 8)
    search = Greedy()
    search.accept(scores[0, : recognizer._decoder.frames].log_softmax(-1).numpy())
    assert [t.symbol for t in search.tokens] == [t.symbol for t in recognizer._decoder.tokens]
    assert search.tokens
    theirs = sherpa_onnx.OnlineRecognizer.from_wenet_ctc(
        tokens=str(tmp_path / "asr-tokens.txt"),
        model=str(tmp_path / "asr.onnx"),
        chunk_size=shape.chunk_size,
        num_left_chunks=shape.left_chunks,
    )
    stream = theirs.create_stream()
    stream.accept_waveform(16_000, sound(4.0))
    while theirs.is_ready(stream):
        theirs.decode_stream(stream)
    assert theirs.get_result(stream).strip() == recognizer.partial().text
    with pytest.raises(ValueError, match="heads: 1 and kernel_size: 3"):
        ModelConfig(kind="deepspeech2")
