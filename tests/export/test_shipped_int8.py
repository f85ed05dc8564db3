"""The models of the default bundle in eight bits, with the ranges that are kept in the project.

Whether they are as good is for the gate, which needs the corpora; its report is in docs/results.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import sherpa_onnx

from mera_calibration.calibration import load
from mera_calibration.instrumented_bundle import InstrumentedBundle
from mera_calibration.qdq import WEIGHTED, preset_for, prove, quantize, write
from mera_edge.asr import Recognizer
from mera_edge.bundle import Bundle, RoleName
from mera_edge.config import RecognitionSettings
from mera_edge.engine.onnx import OnnxEngine
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_edge.features.audio import AudioBlock
from mera_edge.features.fbank import SAMPLE_RATE, LogMel
from mera_edge.metrics.word_error_rate import distance
from mera_edge.sample import CLIP
from mera_edge.sources.media import MediaFile
from mera_export.legality import violations

RANGES = Path("calibration/ranges")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("int8")


def small(role: RoleName, directory: Path) -> Path:
    """Quantize a model of the default bundle for the CPU."""
    bundle, path = Bundle.open(), directory / f"{role}.onnx"
    if not path.exists():
        full = bundle.role(role).path()
        ranges = load(RANGES, role, bundle).ranges
        write(quantize(onnx.load(full), ranges, preset_for(role)), path)
        prove(full, path)
    return path


@pytest.mark.parametrize("role", ROLE_EVALUATORS)
def test_all_layers_are_quantized_and_a_third_of_the_size_is_left(
    role: RoleName, directory: Path
) -> None:
    size = Bundle.open().role(role).path().stat().st_size
    assert small(role, directory).stat().st_size < size / 3


@pytest.mark.parametrize("role", ROLE_EVALUATORS)
def test_sums_of_products_fit_into_16_bits(role: RoleName, directory: Path) -> None:
    # As x86 without VNNI adds them, two at a time; larger ones are cut off without a word.
    graph = onnx.load(small(role, directory)).graph
    weights = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    source = {
        o: n.input[0] for n in graph.node if n.op_type == "DequantizeLinear" for o in n.output
    }
    multiplied = [
        weights[source[name]]
        for node in graph.node
        if node.op_type in WEIGHTED
        for name in node.input
        if source.get(name) in weights and weights[source[name]].dtype == np.int8
    ]
    assert multiplied
    assert 2 * 255 * max(int(np.abs(w.astype(int)).max()) for w in multiplied) < 2**15


@pytest.mark.parametrize(
    "role", [role for role in ROLE_EVALUATORS if not preset_for(role).tensorrt]
)
def test_tensorrt_would_take_it(role: RoleName) -> None:
    bundle = Bundle.open()
    model = onnx.load(bundle.role(role).path())
    ranges = load(RANGES, role, bundle).ranges
    assert violations(quantize(model, ranges, preset_for(role), target="tensorrt")) == []


def test_sherpa_onnx_hears_the_same_in_eight_bits(directory: Path) -> None:
    bundle, path = Bundle.open(), small("asr", directory)
    source = MediaFile(CLIP, video=False)
    source.open()
    heard = np.concatenate([sound.samples for sound in source.poll(8.0).audio])
    source.close()
    role = bundle.role("asr")
    theirs = sherpa_onnx.OnlineRecognizer.from_wenet_ctc(
        tokens=str(role.path("tokens")),
        model=str(path),
        num_threads=1,
        chunk_size=role.entry.settings["chunk_size"],
        num_left_chunks=role.entry.settings["left_chunks"],
    )
    stream = theirs.create_stream()
    stream.accept_waveform(SAMPLE_RATE, heard)
    while theirs.is_ready(stream):
        theirs.decode_stream(stream)
    greedy = RecognitionSettings(search="greedy")
    ours = Recognizer(InstrumentedBundle(bundle, "asr", OnnxEngine(path)), greedy)
    ours.accept(AudioBlock(LogMel().accept(heard), 8.0))
    # Two versions of ONNX Runtime round sums of eight bits differently: near ties fall either way.
    assert ours.partial().text
    assert distance(ours.partial().text, theirs.get_result(stream).strip()) <= 1
