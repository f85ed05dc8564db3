"""Every command of the tutorial on own data runs, on made data: sentences with the settings and the
limits of the page, the other roles for a few batches. `.ci/nightly.sh` runs all in full, with
benchmarks/four_commands.py, which fails after 15 minutes."""

from __future__ import annotations

from pathlib import Path

import pytest
from four_commands import commands, faults, make
from loudness_teacher import loudness_teacher

from mera_edge.bundle import Bundle
from mera_edge.cli import main
from mera_train.own import command

QUICK = {
    "face": "own: {}\nbatch_size: 16\nloop: {epochs: 1}\n",
    "voice": "own: {}\ncorpora: {}\nbatch_size: 16\ncrop_frames: 64\n"
    "loop: {epochs: 1, learning_rate: 0.0001}\n",
    "asr": "own: {held_out: [0.1, 0.1]}\naugment: null\nphone_loss_weight: 0\nframe_ce_epochs: 0\n"
    "loop: {epochs: 1, learning_rate: 0.0001, metric_for_best_model: wer}\n",
    "vad": "own: {}\nsynthetic_noises_per_kind: 8\nbatch_size: 2\n"
    "batches_per_epoch: 2\ndev_batches: 1\nloop: {epochs: 1}\n",
    "fusion": "own: {held_out: [0.2, 0.2]}\nbatch_size: 4\n"
    "loop: {epochs: 1, metric_for_best_model: valence_error, greater_is_better: false}\n",
}

LENIENT = ["--max-drop", "100", "--max-class-drop", "100", "--max-ece", "1"]
"""The gate is asked; a few made examples and one epoch say nothing about INT8."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tables of the page, and a clip."""
    folder = tmp_path_factory.mktemp("own")
    make(folder, 40)
    # CI has no Silero VAD, which would install torchaudio.
    teacher = loudness_teacher(folder / "teacher.onnx")
    for role, config in QUICK.items():
        (folder / "configs" / role).mkdir(parents=True)
        (folder / "configs" / role / "own.yaml").write_text(
            f"{config}teacher: {teacher}\n" if role == "vad" else config
        )
    return folder


def test_the_page_has_every_role() -> None:
    assert set(commands()) == {"text", *QUICK}


def test_a_command_that_fails_is_a_fault_of_the_measurement(tmp_path: Path) -> None:
    assert "text: exit code 2 of mera-edge train text --data" in faults("text", tmp_path)[0]


@pytest.mark.parametrize("role", ["text", *QUICK])
def test_the_commands_of_a_role_run(
    role: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    if role in QUICK:
        monkeypatch.setattr(command, "CONFIGS", folder / "configs")
    for line in commands()[role]:
        gated = role in QUICK and {"--int8", "verify"} & set(line)
        words = [*line, *(LENIENT if gated else [])]
        with pytest.raises(SystemExit) as left:
            main(words[1:])
        printed = capfd.readouterr()
        assert not left.value.code, f"{line}: {printed.err}"
        if words[1] == "run":
            assert '"mera-edge/event/1"' in printed.out
    card = (folder / "runs" / role / "card.md").read_text()
    assert "CC0-1.0" in card and "csv" in card
    entry = Bundle.open(folder / f"{role}-bundle").role(role).entry
    assert entry.precision == ("fp32" if role in ("vad", "fusion") else "int8")
    assert entry.licence == "CC0-1.0"
