"""Every command of the tutorial on own data runs, on made data and for a few batches."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import soundfile
import soxr
from numpy.typing import NDArray

from mera_edge.bundle import Bundle
from mera_edge.cli import main
from mera_edge.sample import CLIP
from mera_train.own import command

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "tutorials" / "own_data.md"
QUICK = {
    "face": "own: {}\nbatch_size: 16\nloop: {epochs: 1}\n",
    "voice": "own: {}\ncorpora: {}\nbatch_size: 16\ncrop_frames: 64\n"
    "loop: {epochs: 1, learning_rate: 0.0001}\n",
    "text": "own: {}\nbatch_size: 16\nloop: {epochs: 1}\n",
    "asr": "own: {held_out: [0.1, 0.1]}\naugment: null\nphone_loss_weight: 0\nframe_ce_epochs: 0\n"
    "loop: {epochs: 1, learning_rate: 0.0001, metric_for_best_model: wer}\n",
    "vad": "own: {}\nsynthetic_noises_per_kind: 8\nbatch_size: 2\n"
    "batches_per_epoch: 2\ndev_batches: 1\nloop: {epochs: 1}\n",
    "fusion": "own: {held_out: [0.2, 0.2]}\nbatch_size: 4\n"
    "loop: {epochs: 1, metric_for_best_model: valence_error, greater_is_better: false}\n",
}

HEARD = "beauty for their"
"""What the shipped recognizer hears in the words that are said."""

GATE = ["--max-drop", "100", "--max-class-drop", "100", "--max-ece", "1"]
"""The gate is asked; a few made examples and one epoch say nothing about INT8."""


def commands() -> dict[str, list[str]]:
    """The commands of the page, by the role that they are about."""
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S)
    found: dict[str, list[str]] = {}
    for block in blocks:
        lines = [line for line in block.splitlines() if line]
        role = next(role for role in QUICK if f" {role} " in f"{lines[0]} ")
        found.setdefault(role, []).extend(lines)
    return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, spoken: NDArray[np.float32]) -> Path:
    """The tables of the page, and a clip."""
    folder = tmp_path_factory.mktemp("own")
    generator = np.random.default_rng(0)
    tables: dict[str, list[dict[str, str]]] = {}
    for n in range(40):
        happy, who = n % 2 == 0, {"person": f"p{n // 2 % 6}"}
        label = {"label": "happy" if happy else "Sad", **who}
        face = generator.integers(0, 90, (48, 48)).astype(np.uint8)
        face[slice(0, 24) if happy else slice(24, 48)] += 120
        cv2.imwrite(str(folder / f"{n}.png"), face)
        soundfile.write(folder / f"{n}.wav", spoken * (0.5 + n / 50), 16_000)
        # High and quick is happy, low and slow is not: the shipped encoder hears that much.
        voice = soxr.resample(spoken * (0.5 + n / 50), 16_000 * (1.15 if happy else 0.8), 16_000)
        soundfile.write(folder / f"voice{n}.wav", voice, 16_000)
        noise = generator.normal(0, 0.05, 16_000)
        soundfile.write(folder / f"noise{n}.wav", noise, 16_000)
        text = f"i am {'so happy and glad' if happy else 'sad and i cry'} on day {n}"
        rows = {
            "faces": {"file": f"{n}.png", **label},
            "voices": {"file": f"voice{n}.wav", "label": "happy" if happy else "Neutral", **who},
            "sentences": {"text": text, **label},
            "said": {"file": f"{n}.wav", "text": HEARD, **who},
            "sounds": {"file": f"{'' if happy else 'noise'}{n}.wav",
                       "label": "speech" if happy else "noise", "person": f"p{n}"},
            "clips": {"file": f"{n}.wav", "text": text, **label},
        }  # fmt: skip
        for name, row in rows.items():
            if n < {"said": 20, "clips": 12, "sounds": 24}.get(name, 40):
                tables.setdefault(name, []).append(row)
    for name, rows in tables.items():
        with (folder / f"{name}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    for role, config in QUICK.items():
        (folder / "configs" / role).mkdir(parents=True)
        (folder / "configs" / role / "own.yaml").write_text(config)
    _two_seconds(folder / "clip.mp4")
    return folder


def _two_seconds(path: Path) -> None:
    """Write the beginning of the sample clip, which `run` plays in real time."""
    with av.open(str(CLIP)) as source, av.open(str(path), "w") as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        for packet in source.demux():
            if packet.dts is not None and packet.dts * packet.time_base < 2:
                packet.stream = streams[packet.stream.index]
                target.mux(packet)


def test_the_page_has_every_role() -> None:
    assert set(commands()) == set(QUICK)


@pytest.mark.parametrize("role", QUICK)
def test_the_commands_of_a_role_run(
    role: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    if role == "vad":
        pytest.importorskip("silero_vad", reason="the teacher is not installed: see the page")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(command, "CONFIGS", folder / "configs")
    for line in commands()[role]:
        shipped = str(ROOT / "edge" / "mera_edge" / "bundle" / "default")
        words = line.replace("edge/mera_edge/bundle/default", shipped).split()
        words += GATE if {"--int8", "verify"} & set(words) else []
        with pytest.raises(SystemExit) as left:
            main(words[1:])
        printed = capfd.readouterr()
        assert not left.value.code, f"{line}: {printed.err}"
        if words[1] == "run":
            assert '"mera-edge/event/1"' in printed.out
    card = (folder / "runs" / role / "card.md").read_text()
    assert "CC0-1.0" in card and "csv" in card
    precision = Bundle.open(folder / f"{role}-bundle").role(role).entry.precision
    assert precision == ("fp32" if role in ("vad", "fusion") else "int8")
