"""Sentiment regression: the files it reads, the networks, the runs."""

import contextlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import nn
from typer.testing import CliRunner

from mera_edge.errors import ConfigError, InputError
from mera_train import fingerprint
from mera_train.cli import app
from mera_train.features import store
from mera_train.loop import fit
from mera_train.msa import MSA_run, data, get_config, grid, mmsa, mosi_bclstm, unpickle
from mera_train.msa.config import parse
from mera_train.msa.data import MODALITIES, Examples
from mera_train.msa.models import MODELS, ModelConfig
from mera_train.msa.picture import draw
from mera_train.msa.run import load
from mera_train.msa.task import SentimentTask, predict

SIZES = {"text": 6, "audio": 3, "vision": 4}


def part(n: int, seed: int, unimodal: bool = True) -> dict[str, Any]:
    """One part of a file of MMSA whose sound says the label."""
    random = np.random.default_rng(seed)
    labels = random.uniform(-1, 1, n).astype(np.float32)
    made = {name: random.normal(size=(n, 5, width)) for name, width in SIZES.items()}
    made["audio"][:, :, 0] = labels[:, None]
    made["vision"][0, 0, 0] = np.nan
    made["audio"][1] = -np.inf
    made |= {"audio_lengths": random.integers(0, 6, n).tolist(), "vision_lengths": [0] * n}
    made |= {"regression_labels": labels, "id": [f"v$_${i}" for i in range(n)]}
    if unimodal:
        made |= {f"regression_labels_{m}": np.clip(labels + 0.1, -1, 1) for m in "TAV"}
    return made


@pytest.fixture
def sims(tmp_path: Path) -> Path:
    path = tmp_path / "unaligned_39.pkl"
    parts = {"train": part(24, 0), "valid": part(8, 1), "test": part(8, 2)}
    path.write_bytes(pickle.dumps(parts, protocol=4))
    return path


@pytest.fixture
def bclstm(tmp_path: Path) -> Path:
    path, random = tmp_path / "mosi_bclstm.npz", np.random.default_rng(0)
    arrays: dict[str, Any] = {}
    for name, videos in (("train", "abcdefghij"), ("test", "kl")):
        ids = [f"{video}_{number}" for video in videos for number in (1, 10, 2)]
        arrays |= {f"{name}_id": ids, f"{name}_val": random.uniform(-3, 3, len(ids))}
        arrays[f"{name}_transcript"] = ["I LIKED IT"] * len(ids)
        for key, width in (("text", 6), ("audio", 3), ("video", 4)):
            arrays[f"{name}_{key}"] = random.normal(size=(len(ids), width))
    np.savez(path, **arrays)
    return path


def settings(model: str, dataset: str, path: Path) -> dict[str, Any]:
    config = get_config(model, dataset)
    config["featurePath"] = str(path)
    config["batch_size"] = 4
    config["loop"]["epochs"] = 2
    return config


class Attack:
    def __reduce__(self) -> Any:
        return os.system, ("touch attacked",)


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_asks_to_run_something_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "bad.pkl"
    path.write_bytes(pickle.dumps({"train": [Attack()]}, protocol))
    with pytest.raises(InputError, match=r"(posix|nt)\.system"):
        unpickle.load(path)
    assert not (tmp_path / "attacked").exists()


@pytest.mark.parametrize("protocol", range(6))
def test_arrays_and_containers_come_back(tmp_path: Path, protocol: int) -> None:
    kept = {
        "a": np.arange(6, dtype=np.float32).reshape(2, 3),
        "names": np.array(["x", "yy"]),
        "objects": np.array(["x", None], object),
        "scalar": np.float64(2.5),
        "plain": [1, (2.0, "three"), None, b"\xff"],
    }
    path = tmp_path / "good.pkl"
    path.write_bytes(pickle.dumps(kept, protocol))
    found = unpickle.load(path)
    for name in ("a", "names", "objects"):
        np.testing.assert_array_equal(found[name], kept[name])
    assert (found["scalar"], found["plain"]) == (kept["scalar"], kept["plain"])


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps([1, 2])])
def test_files_of_another_layout_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.pkl"
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.pkl"):
        mmsa.read(path, "sims")


def test_data_that_teach_nothing_are_refused(sims: Path) -> None:
    parts = pickle.loads(sims.read_bytes())
    parts["train"]["regression_labels"][:] = 0.4
    sims.write_bytes(pickle.dumps(parts))
    with pytest.raises(InputError, match=r"every training utterance has the label 0\.4"):
        MSA_run("lf_dnn", "sims", settings("lf_dnn", "sims", sims))


@pytest.mark.parametrize("told", ['{"schema": "mera-edge/features/1"}', "[]", "7"])
def test_corrupt_feature_file_is_read_or_refused(tmp_path: Path, told: str) -> None:
    """Numpy raises what zipfile and zlib raise, and they have no common ancestor."""
    path = tmp_path / "features.npz"
    np.savez_compressed(path, specification=told, voice=np.arange(200.0) ** 2)
    whole, outcomes = path.read_bytes(), set()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xA5]) + whole[at + 1 :])
        try:
            outcomes.add(type(store.load(path)))
        except InputError as error:
            assert str(path) in str(error)
            outcomes.add(InputError)
    assert InputError in outcomes


@pytest.mark.parametrize("protocol", [2, 5])
@hypothesis_settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(spoils=st.lists(st.tuples(st.integers(0), st.integers(0, 255)), min_size=1, max_size=6))
def test_corrupt_pickle_is_read_or_refused_in_one_line(
    tmp_path: Path, protocol: int, spoils: list[tuple[int, int]]
) -> None:
    content = bytearray(pickle.dumps({"train": part(2, 0)}, protocol))
    for place, value in spoils:
        # Mostly among the opcodes at the beginning, which say how large things are.
        content[place % min(len(content), 300)] = value
    path = tmp_path / "spoilt.pkl"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        unpickle.load(path)
    with pytest.raises(InputError, match=r"spoilt\.pkl"):
        mmsa.read(path, "sims")


def test_a_pickle_cannot_ask_for_an_array_of_any_size(tmp_path: Path) -> None:
    class Huge:
        def __reduce__(self) -> Any:
            return np.ndarray, ((10**12,),)

    path = tmp_path / "huge.pkl"
    path.write_bytes(pickle.dumps({"train": Huge()}))
    with pytest.raises(InputError, match=r"huge\.pkl cannot be read"):
        unpickle.load(path)


def test_features_of_mmsa_are_finite_and_labels_unit(sims: Path) -> None:
    corpus = mmsa.read(sims, "sims")
    assert [len(p) for p in (corpus.train, corpus.valid, corpus.test)] == [24, 8, 8]
    assert all(np.isfinite(values).all() for values in corpus.train.features.values())
    assert (corpus.train.lengths["vision"] == 0).all()
    assert set(corpus.train.unimodal) == set(MODALITIES)
    assert np.abs(mmsa.read(sims, "mosi").train.labels).max() <= 1 / 3


def test_utterances_of_a_dialogue_are_in_order_and_videos_stay_whole(bclstm: Path) -> None:
    corpus = mosi_bclstm.read(bclstm)
    assert corpus.test.ids == ["k_1", "k_2", "k_10", "l_1", "l_2", "l_10"]
    assert corpus.test.features["text"].shape == (6, 1, 7)
    videos = [{i[0] for i in p.ids} for p in (corpus.train, corpus.valid)]
    assert len(videos[0]) == 8 and len(videos[1]) == 2 and not videos[0] & videos[1]
    assert data.batch(corpus.test).dialogues == [3, 3]


@pytest.mark.parametrize("dialogues", [False, True])
@pytest.mark.parametrize("model", MODELS)
def test_networks_learn_from_one_utterance_and_from_nothing(model: str, dialogues: bool) -> None:
    frames = 1 if dialogues else 5
    sizes = {name: (frames, width) for name, width in SIZES.items()}
    context = 8 if dialogues else 0
    encoded = {"text": 4, "audio": 4, "vision": 4}
    network = MODELS[model](
        ModelConfig(context_dim=context, encoder_dims=encoded, attention_dim=8), sizes
    )
    values = {name: np.ones((1, frames, w), np.float32) for name, w in SIZES.items()}
    for length in (frames, 0):
        lengths = dict.fromkeys(SIZES, np.array([length]))
        one = Examples(values, lengths, np.zeros(1, np.float32), ["x"])
        if dialogues:
            one = Examples(values, lengths, one.labels, ["x"], dialogues=np.zeros(1, np.int64))
        found = network(data.batch(one))
        assert found["sentiment"].shape == (1,)
        sum(value.sum() for value in found.values()).backward()
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        assert gradients and all(bool(g.isfinite().all()) for g in gradients)


@pytest.mark.parametrize("model", MODELS)
def test_zero_network_returns_the_input_sentiment(model: str) -> None:
    sizes = {name: (1, width) for name, width in SIZES.items()}
    network = MODELS[model](ModelConfig(corrects_text=True, attention_dim=8), sizes)
    for parameter in network.parameters():
        nn.init.zeros_(parameter)
    values = {name: np.full((2, 1, w), 0.4, np.float32) for name, w in SIZES.items()}
    lengths = {name: np.array([1, 0]) for name in SIZES}
    two = Examples(values, lengths, np.zeros(2, np.float32), ["x", "y"])
    np.testing.assert_allclose(network(data.batch(two))["sentiment"].detach(), [0.4, 0])


@pytest.mark.parametrize("model", MODELS)
def test_what_a_missing_modality_holds_is_never_looked_at(sims: Path, model: str) -> None:
    config = parse(settings(model, "sims", sims))
    corpus = mmsa.read(sims, "sims").only(["text"])
    network = SentimentTask(config, corpus).model.network.eval()
    before = predict(network, corpus.test)
    corpus.test.features["audio"][:] = 7
    np.testing.assert_array_equal(before, predict(network, corpus.test))


def test_human_labels_stay_and_generated_ones_move(sims: Path) -> None:
    config = parse(settings("mtme_human", "sims", sims))
    corpus = mmsa.read(sims, "sims")
    corpus.train.unimodal["text"][:12] = np.nan
    task = SentimentTask(config, corpus)
    for epoch in range(4):
        for plan in task.plan(epoch):
            assert bool(task.loss(task.load(plan, epoch), torch.device("cpu")).isfinite())
    found = task.model.labels.label("text").numpy()
    np.testing.assert_array_equal(found[12:], corpus.train.unimodal["text"][12:])
    assert not np.allclose(found[:12], corpus.train.labels[:12])


def test_swapped_features_come_from_the_opposite_label(bclstm: Path) -> None:
    values = settings("mtme", "mosi_bclstm", bclstm) | {
        "feature_swap_rate": {"text": 1.0},
        "full_modality_rate": 1.0,
    }
    corpus = mosi_bclstm.read(bclstm)
    task = SentimentTask(parse(values), corpus)
    step = task.load(task.plan(0)[0], 0)
    labels, text = corpus.train.labels, corpus.train.features["text"]
    for row, new in zip(step.rows, step.batch.features["text"].numpy(), strict=True):
        twin = np.flatnonzero((text[:, 0, :6] == new[0, :6]).all(axis=1))
        assert (labels[twin] >= 0) != (labels[row] >= 0)
        assert new[0, 6] == text[row, 0, 6]


def test_run_has_metrics_logs_and_checkpoints_and_resumes_exactly(
    sims: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = settings("mtme", "sims", sims)
    found = MSA_run("mtme", "sims", config=config, seeds=[1, 2])
    assert set(found["test"]["mae"]) == {"mean", "std"} and "accuracy_3" in found["test"]
    lines = (tmp_path / "log" / "mtme-sims.jsonl").read_text().splitlines()
    assert [json.loads(line).get("seed") for line in lines] == [1, 2, None]
    whole = tmp_path / "saved_models" / "mtme-sims" / "1"
    corpus = mmsa.read(sims, "sims")
    mae = np.abs(predict(load(whole), corpus.test) - corpus.test.labels).mean()
    assert mae == pytest.approx(json.loads(lines[0])["test"]["mae"], abs=1e-6)

    # As it was left by a run that was killed after its first epoch.
    half = parse({**config, "loop": {**config["loop"], "seed": 1}})

    class Killed(SentimentTask):
        def plan(self, epoch: int) -> Any:
            if epoch == 1:
                raise KeyboardInterrupt
            return super().plan(epoch)

    made = fingerprint.of(half, {"the examples": corpus.digest})
    with pytest.raises(KeyboardInterrupt):
        fit(Killed(half, corpus), half.loop, tmp_path / "again" / "mtme-sims" / "1", made)
    MSA_run("mtme", "sims", config=config, seeds=[1], model_save_dir="again")
    again = load_file(tmp_path / "again" / "mtme-sims" / "1" / "model.safetensors")
    for name, value in load_file(whole / "model.safetensors").items():
        assert torch.equal(value, again[name]), name


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A BERT with random weights that knows ten tokens."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    shape = BertConfig(
        vocab_size=10,
        hidden_size=8,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
    )
    BertModel(shape, add_pooling_layer=False).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def with_tokens(path: Path, largest: int = 9) -> None:
    """Add ``text_bert`` to a file of MMSA: a token that says the label, and a row without text."""
    parts = pickle.loads(path.read_bytes())
    for made in parts.values():
        n = len(made["id"])
        tokens = np.ones((n, 3, 5), np.int64)
        tokens[:, 0, 1] = np.where(made["regression_labels"] > 0, 3, largest)
        tokens[:, 2] = 0
        tokens[0, 1] = 0
        made["text_bert"] = tokens
    path.write_bytes(pickle.dumps(parts, protocol=4))


def test_a_bert_is_trained_along_at_its_own_rate_and_is_in_the_checkpoint(
    sims: Path, bert: Path, tmp_path: Path
) -> None:
    with_tokens(sims)
    config = {**settings("self_mm", "sims", sims), "pretrained": str(bert)}
    config["learning_rate_bert"] = 0.01
    given = {"seeds": [1], "log_dir": tmp_path}
    found = MSA_run("self_mm", "sims", config, model_save_dir=tmp_path / "models", **given)
    assert found["config"]["loop"]["learning_rates"] == {"network.inputs.bert": 0.01}
    out = tmp_path / "models" / "self_mm-sims" / "1"
    begun = load_file(bert / "model.safetensors")
    word = "embeddings.word_embeddings.weight"
    moved = load_file(out / "model.safetensors")[f"inputs.bert.encoder.{word}"] - begun[word]
    assert moved[[3, 9]].abs().max() > 1e-3 > 100 * moved[5].abs().max(), "what was read, moved"
    assert "A BERT (`bert`) was trained along" in (out / "card.md").read_text()
    corpus = mmsa.read(sims, "sims", tokens=True)
    assert corpus.train.lengths["text"].tolist() == [0] + [5] * 23
    # Another BERT in its place is another run; the checkpoint needs it no longer.
    shape = json.loads((bert / "config.json").read_text())
    (bert / "config.json").write_text(json.dumps({**shape, "layer_norm_eps": 0.1}))
    with pytest.raises(InputError, match="text_encoder"):
        MSA_run("self_mm", "sims", config, model_save_dir=tmp_path / "models", **given)
    bert.rename(tmp_path / "elsewhere")
    assert np.isfinite(predict(load(out), corpus.test)).all()


def test_a_bert_that_cannot_read_the_file_is_refused(sims: Path, bert: Path) -> None:
    config = settings("self_mm", "sims", sims)
    config["network"]["text_encoder"] = str(bert)
    with pytest.raises(InputError, match=r"has no 'text_bert'.*leave network.text_encoder out"):
        MSA_run("self_mm", "sims", config)
    with_tokens(sims, largest=10)
    with pytest.raises(InputError, match="knows 10 tokens, but the features have number 10"):
        MSA_run("self_mm", "sims", config)
    for changes, message in (
        ({"missing_rate": 0.3}, "set missing_rate to 0"),
        ({"dataset": "own"}, "which own lacks"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse({**config, **changes})
    config["network"]["text_encoder"] = str(sims.parent)
    with pytest.raises(InputError, match=r"is no BERT: it has no config\.json"):
        MSA_run("self_mm", "sims", config)


def test_other_settings_or_features_never_get_the_figures_of_an_earlier_call(
    sims: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    config = settings("lf_dnn", "sims", sims)

    def call(changed: dict[str, Any], folder: str = "runs", **how: Any) -> Any:
        return MSA_run("lf_dnn", "sims", changed, [1], model_save_dir=folder, **how)["test"]

    found = call(config)
    capsys.readouterr()
    moved = tmp_path / "moved.pkl"
    moved.write_bytes(sims.read_bytes())
    assert call({**config, "featurePath": str(moved)}) == found, "its content is the same"
    assert "runs/lf_dnn-sims/1: finished" in capsys.readouterr().err
    parts = pickle.loads(sims.read_bytes())
    for split in parts.values():
        split["regression_labels"] = -split["regression_labels"]
    negated = tmp_path / "negated.pkl"
    negated.write_bytes(pickle.dumps(parts))
    changes = {
        "the examples has other content": {"featurePath": str(negated)},
        "modalities is": {"modalities": ["text"]},
        "batch_size is 4 there, 5 now": {"batch_size": 5},
        "loop.learning_rate is": {"loop": {**config["loop"], "learning_rate": 1e-9}},
        "loop.epochs is 2 there, 1 now": {"loop": {**config["loop"], "epochs": 1}},
        "network.fusion_dim is": {"network": {**config["network"], "fusion_dim": 48}},
    }
    for told, change in changes.items():
        with pytest.raises(InputError, match=told):
            call({**config, **change})
    other = {**config, "featurePath": str(negated)}
    assert call(other, resume=False) == call(other, "elsewhere") != found


def test_tuning_asks_the_validation_split_only_and_goes_on_with_the_same_data(
    sims: Path, tmp_path: Path
) -> None:
    optuna = pytest.importorskip("optuna")
    from mera_train.msa.tune import tune

    config = parse(settings("lf_dnn", "sims", sims))
    corpus = mmsa.read(sims, "sims")
    corpus.test.labels[:] = np.nan
    out = tmp_path / "tuning"
    first = tune(config, corpus, 1, out, seed=1)
    assert first.loop.learning_rate != config.loop.learning_rate
    assert tune(config, corpus, 1, out, seed=1) == first, "it is done"
    # What was being tried when a study was interrupted is tried again.
    study = optuna.load_study(study_name=None, storage=f"sqlite:///{out}/study.db")
    interrupted = study.ask(fixed_distributions=study.trials[0].distributions)
    tune(config, corpus, 2, out, seed=1)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE"]
    assert study.trials[2].params == interrupted.params
    other = mmsa.read(sims, "sims")
    other.train.labels[:] *= -1
    with pytest.raises(InputError, match="the examples has other content"):
        tune(config, other, 2, out, seed=1)
    tune(config, other, 1, out, seed=1, resume=False)


def test_a_run_without_a_file_or_with_a_misspelt_key_says_so(sims: Path) -> None:
    with pytest.raises(ConfigError, match="featurePath"):
        MSA_run("mtme", "sims", config=get_config("mtme", "sims"))
    with pytest.raises(ConfigError, match="did you mean 'batch_size'"):
        MSA_run("mtme", "sims", config={"batch_sise": 3})
    with pytest.raises(ConfigError, match="model"):
        get_config("mtmee", "sims")
    unread = {"transcripts": False, "network": {"corrects_text": True}}
    with pytest.raises(ConfigError, match="needs transcripts"):
        MSA_run("mtme", "mosi_bclstm", config=unread)


def test_the_grid_has_every_subset_and_dropping_all_frames_leaves_one_answer(
    sims: Path, tmp_path: Path
) -> None:
    corpus = mmsa.read(sims, "sims")
    config = parse(settings("mtme", "sims", sims))
    network = SentimentTask(config, corpus).model.network.eval()
    found = grid.subsets(network, corpus.test, corpus)
    assert len(found) == 7 and next(iter(found)) == "text + audio + vision"
    means = {name: np.zeros(width) for name, width in SIZES.items()}
    some = grid.dropped(corpus.test, 0.5, means, 0).features["text"]
    more = grid.dropped(corpus.test, 0.7, means, 0).features["text"]
    assert (some == 0).any() and (more[some == 0] == 0).all()
    rows = grid.curve(network, corpus.test, corpus, draws=1)
    assert rows[0]["mae"] == pytest.approx(next(iter(found.values()))["mae"])
    assert rows[-1]["correlation"] != rows[0]["correlation"]
    path = tmp_path / "docs" / "grid.png"
    draw(path, dict.fromkeys(found, 0.8), {"text": [0.7] * len(grid.RATES)}, "What is left")
    assert cv2.imread(str(path)).std() > 10


@given(st.lists(st.floats(0, 1), min_size=11, max_size=11))
def test_the_area_lies_between_the_worst_and_the_best(values: list[float]) -> None:
    assert min(values) - 1e-9 <= grid.area(values) <= max(values) + 1e-9


def test_the_command_line_trains_and_prints_figures(
    sims: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["fusion", "--model", "lf_dnn", "--dataset", "sims", "--features", str(sims)]
    found = CliRunner().invoke(app, [*command, "--seeds", "1"])
    assert found.exit_code == 0, found.output
    assert json.loads(found.stdout)["seeds"] == [1111]
    assert CliRunner().invoke(app, command[:3]).exit_code == 2
