"""The reference's own lines run as they stand; MMSA's arguments are taken or refused by name."""

from __future__ import annotations

import csv
import json
import re
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from mera_edge.errors import ConfigError, InputError
from mera_train.msa import MSA_run, get_config, mmsa, run

ROOT = Path(__file__).parents[2]
SCRIPT = """
from mera_train.features import FeatureExtraction
from mera_train.msa import MSA_run, get_config

extraction = FeatureExtraction("config.json")
extraction.run_dataset(dataset_dir="CH-SIMS", out_file="feature.pkl", num_workers=0)
config = get_config('mtme', 'sims')
config['featurePath'] = "feature.pkl"
MSA_run('mtme', 'sims', config=config)
"""
FET = {
    "audio": {"tool": "librosa", "sample_rate": None, "args": {"mfcc": {"n_mfcc": 20}}},
    "video": {"tool": "openface", "fps": 25, "args": {"action_units": True}},
    "text": {"model": "bert", "pretrained": "bert-base-chinese"},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, spoken: NDArray[np.float32]) -> Path:
    """The directory where the reference script ran, with one of its five seeds to save time."""
    folder = tmp_path_factory.mktemp("reference")
    (folder / "config.json").write_text(json.dumps(FET))
    columns = "video_id,clip_id,text,label,label_T,label_A,label_V,annotation,mode"
    lines = [columns]
    for n in range(9):
        path = folder / "CH-SIMS" / "Raw" / "video_0001" / f"{n:04d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=16_000, layout="mono")
            frame = av.AudioFrame.from_ndarray(spoken[None], "fltp", "mono")
            frame.rate, frame.pts, frame.time_base = 16_000, 0, Fraction(1, 16_000)
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        rated, said = (0.8, "Positive") if n % 2 else (-0.8, "Negative")
        text = "i am so happy today" if n % 2 else "i am sad"
        mode = ("train", "train", "train", "valid", "test")[n // 2]
        lines.append(f"video_0001,{n:04d},{text},{rated},{rated},{rated},{rated},{said},{mode}")
    (folder / "CH-SIMS" / "label.csv").write_text("\n".join(lines) + "\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(run, "SEEDS", (1111,))
        exec(compile(SCRIPT, "reference.py", "exec"), {})
    return folder


def test_the_reference_script_runs_and_writes_its_result_table(trained: Path) -> None:
    corpus = mmsa.read(trained / "feature.pkl", "sims")
    assert corpus.train.features["audio"].shape[1] > 1, "sequences, not one vector a clip"
    assert corpus.train.lengths["text"].tolist() == [4, 6, 4, 6, 4, 6], "a row a word, and a whole"
    assert (corpus.train.lengths["vision"] == 0).all()
    assert (trained / "saved_models" / "mtme-sims" / "1111" / "model.safetensors").is_file()
    assert len((trained / "log" / "mtme-sims.jsonl").read_text().splitlines()) == 2
    with (trained / "log" / "sims.csv").open() as file:
        rows = list(csv.reader(file))
    assert rows[0][:3] == ["Model", "Mult_acc_2", "F1_score"] and rows[1][0] == "mtme"
    assert re.fullmatch(r"\([\d.]+, 0\.0\)", rows[1][1])


def test_mmsa_arguments_are_accepted(
    trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.json").write_text(
        json.dumps({"learning_rate_other": 0.002, "early_stop": 1})
    )
    given = {
        "config_file": tmp_path / "config.json",
        "custom_feature": trained / "feature.pkl",
        "seeds": [3],
        "gpu_ids": [],
        "num_workers": 4,
        "verbose_level": 1,
        "model_save_dir": tmp_path / "models",
        "res_save_dir": tmp_path / "results",
        "log_dir": tmp_path / "log",
    }
    found = MSA_run("SELF_MM", "SIMS", {"learning_rate_audio": 0.005}, **given)
    assert found["config"]["loop"]["learning_rate"] == 0.002
    assert list(found["config"]["loop"]["learning_rates"].values()) == [0.005]
    assert found["config"]["loop"]["patience"] == 1
    assert "self_mm" in (tmp_path / "results" / "normal" / "sims.csv").read_text()
    # A changed setting never gets the earlier figure.
    with pytest.raises(InputError, match=r"loop\.learning_rate is 0\.002 there"):
        MSA_run("self_mm", "sims", {"learning_rate": 0.1}, **given | {"config_file": None})


def test_unsupported_arguments_are_refused_by_name(trained: Path) -> None:
    with pytest.raises(ConfigError, match=r"feature_T: .*featurePath"):
        MSA_run("mtme", "sims", feature_T=trained / "feature.pkl")
    with pytest.raises(ConfigError, match=r"gpu_ids names 2 GPUs: torchrun"):
        MSA_run("mtme", "sims", custom_feature=trained / "feature.pkl", gpu_ids=[0, 1])
    with pytest.raises(ConfigError, match="learning_rate_bert"):
        MSA_run("self_mm", "sims", {"learning_rate_bert": 0.1})
    with pytest.raises(ConfigError, match="post_fusion_dropout"):
        MSA_run("mtme", "sims", {"post_fusion_dropout": 0.1})
    with pytest.raises(ConfigError, match=r"model: .*'self_mm'.*'almt'"):
        MSA_run("EF_LSTM", "sims", custom_feature=trained / "feature.pkl")


def test_mtme_generates_labels_by_default() -> None:
    assert not get_config("mtme", "sims")["human_labels"]
    assert get_config("MTME_human", "SIMS")["human_labels"]


def test_every_row_of_the_table_names_a_test_that_exists() -> None:
    page = (ROOT / "docs" / "from_mmsa_and_masr.md").read_text(encoding="utf-8")
    _, _, table = page.partition("| MMSA, MMSA-FET or MASR | mera-edge | tested by |\n")
    rows = table.partition("\n\n")[0].splitlines()[1:]
    assert rows
    for row in rows:
        found = re.search(r"\| `(tests/\S+)::(\w+)` \|$", row)
        assert found, row
        assert f"def {found[2]}(" in (ROOT / found[1]).read_text(encoding="utf-8"), row
