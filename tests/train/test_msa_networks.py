"""The networks against their equations."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from mera_edge.errors import ConfigError, InputError
from mera_train.msa import data, get_config
from mera_train.msa.config import Config, parse
from mera_train.msa.data import MODALITIES, Batch, Corpus, Examples
from mera_train.msa.feature_file import require_labels
from mera_train.msa.models import MODELS, ModelConfig
from mera_train.msa.models.almt import HyperLayer
from mera_train.msa.models.mag_bert import Gate, by_word
from mera_train.msa.models.misa import moment_discrepancy, overlap
from mera_train.msa.models.tfr_net import GatedEncoder
from mera_train.msa.task import SentimentTask

SIZES = {"text": 6, "audio": 3, "vision": 4}
Array = NDArray[np.float64]


def examples(n: int, seed: int, frames: int = 5) -> Examples:
    """Utterances whose words and sound say the label."""
    random = np.random.default_rng(seed)
    labels = random.uniform(-1, 1, n).astype(np.float32)
    features = {
        name: random.normal(0, 0.3, (n, frames, width)).astype(np.float32)
        for name, width in SIZES.items()
    }
    for name in ("text", "audio"):
        features[name][:, :, 0] = labels[:, None]
    lengths = {name: random.integers(1, frames + 1, n) for name in MODALITIES}
    unimodal = {name: np.clip(labels + 0.1, -1, 1) for name in MODALITIES}
    return Examples(features, lengths, labels, [str(i) for i in range(n)], unimodal)


def corpus() -> Corpus:
    return Corpus(examples(64, 0), examples(16, 1), examples(16, 2), "sims", 1.0)


def config(model: str, **more: Any) -> Config:
    values = get_config(model, "sims")
    values["network"] |= {"fusion_dim": 16, "encoder_dims": dict.fromkeys(MODALITIES, 8)}
    values["network"] |= {"attention_dim": 16, "heads": 2, "dropout": 0.0}
    return parse({**values, "batch_size": 16, **more})


def task(model: str, **more: Any) -> SentimentTask:
    return SentimentTask(config(model, **more), corpus())


def of(module: nn.Module, *inputs: Any) -> Array:
    with torch.no_grad():
        return np.asarray(module(*inputs), np.float64)


def layer(module: nn.Module, x: Array) -> Array:
    """A linear layer, by hand."""
    weight, bias = module.weight, module.bias
    product = x @ np.asarray(weight.detach(), np.float64).T  # type: ignore[union-attr,operator]
    return product if bias is None else product + np.asarray(bias.detach(), np.float64)  # type: ignore[union-attr,operator]


def normed(module: nn.Module, x: Array) -> Array:
    """A layer norm as it begins: no scale, no shift."""
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    return (x - x.mean(axis=-1, keepdims=True)) / deviation


def learn(learning: SentimentTask, optimizer: torch.optim.Optimizer, epoch: int) -> None:
    learning.model.train()
    for plan in learning.plan(epoch):
        optimizer.zero_grad()
        learning.loss(learning.load(plan, epoch), torch.device("cpu")).backward()
        optimizer.step()


@pytest.mark.parametrize("model", ["misa", "mag_bert", "tfr_net", "almt", "mtfn", "mlmf"])
def test_each_network_learns_from_text_and_audio(model: str) -> None:
    # So few and so alike are best made alike by saying nothing, were MISA's own losses as usual.
    weights = {"similar": 0.1, "different": 0.1, "rebuilt": 0.1} if model == "misa" else {}
    learning = task(model, loss_weights=weights)
    optimizer = torch.optim.AdamW(learning.model.parameters(), 3e-3)
    before = learning.evaluate(learning.model.eval(), torch.device("cpu"))["mae"]
    for epoch in range(60):
        learn(learning, optimizer, epoch)
        after = learning.evaluate(learning.model.eval(), torch.device("cpu"))
        if after["mae"] < 0.5 * before and after["correlation"] > 0.8:
            return
    pytest.fail(f"{before} before, {after} after")


# MISA


def test_misa_adds_its_three_losses_to_that_of_the_task() -> None:
    learning = task("misa", loss_weights={"rebuilt": 0.5})
    network = learning.model.network.eval()
    step = learning.load(learning.plan(0)[0], 0)
    with torch.no_grad():
        total = float(learning.loss(step, torch.device("cpu")))
        found = {name: np.asarray(v, np.float64) for name, v in network(step.batch).items()}
    labels = learning.corpus.train.labels[step.rows.numpy()]
    shared, own = ({m: found[f"{k}_{m}"] for m in MODALITIES} for k in ("shared", "own"))
    similar = np.mean([discrepancy(shared[a], shared[b]) for a, b in combinations(MODALITIES, 2)])
    pairs = [(shared[m], own[m]) for m in MODALITIES]
    pairs += [(own[a], own[b]) for a, b in combinations(MODALITIES, 2)]
    different = sum(crossed(x, y) for x, y in pairs)
    rebuilt = np.mean(
        [
            (found[f"whole_{m}"] - layer(network.rebuild[m], shared[m] + own[m])) ** 2  # type: ignore[index]
            for m in MODALITIES
        ]
    )
    expected = np.abs(found["sentiment"] - labels).mean()
    expected += 1.0 * similar + 0.3 * different + 0.5 * rebuilt
    assert total == pytest.approx(expected, rel=1e-4)


def discrepancy(x: Array, y: Array) -> float:
    found = np.sqrt(((x.mean(0) - y.mean(0)) ** 2).sum())
    for k in range(2, 6):
        moments = ((x - x.mean(0)) ** k).mean(0) - ((y - y.mean(0)) ** k).mean(0)
        found += np.sqrt((moments**2).sum())
    return float(found)


def crossed(x: Array, y: Array) -> float:
    x, y = x - x.mean(0), y - y.mean(0)
    x, y = (v / (np.linalg.norm(v, axis=1, keepdims=True) + 1e-6) for v in (x, y))
    return float(((x.T @ y) ** 2).mean())


def test_the_discrepancy_is_none_between_equal_sets_in_any_order_and_grows_with_a_shift() -> None:
    x = torch.rand(20, 4)
    assert float(moment_discrepancy(x, x[torch.randperm(20)])) == pytest.approx(0, abs=1e-6)
    # Only the means differ: four columns by 0.2 each.
    assert float(moment_discrepancy(x, x + 0.2)) == pytest.approx(0.4, abs=1e-5)
    alone = torch.rand(1, 4, requires_grad=True)
    moment_discrepancy(alone, alone.detach()).backward()
    assert alone.grad is not None and bool(alone.grad.isfinite().all())


def test_sets_of_rows_overlap_unless_their_columns_are_uncorrelated() -> None:
    x = torch.tensor([[1.0, 0], [-1, 0], [1, 0], [-1, 0]])
    y = torch.tensor([[0.0, 1], [0, 1], [0, -1], [0, -1]])
    assert float(overlap(x, y)) == pytest.approx(0, abs=1e-9)
    # One entry of four is the four rows' own product.
    assert float(overlap(x, x)) == pytest.approx(4**2 / 4, rel=1e-4)


# MAG-BERT


def test_the_gate_matches_its_equations() -> None:
    torch.manual_seed(0)
    gate = Gate(6, {"audio": 3, "vision": 4}, shift=0.5, dropout=0.0)
    words = torch.randn(2, 5, 6)
    beside = {"audio": 3 * torch.randn(2, 5, 3), "vision": torch.randn(2, 5, 4)}
    z = np.asarray(words, np.float64)
    h: Array = np.zeros_like(z)
    for name, value in beside.items():
        m = np.asarray(value, np.float64)
        g = np.maximum(layer(gate.gates[name], np.concatenate([z, m], axis=2)), 0)
        h += g * layer(gate.project[name], m)
    size = np.linalg.norm(h, axis=2, keepdims=True)
    alpha = np.minimum(0.5 * np.linalg.norm(z, axis=2, keepdims=True) / size, 1)
    assert (alpha < 1).any() and (alpha == 1).any(), "both cases of the minimum"
    np.testing.assert_allclose(of(gate, words, beside), normed(gate.norm, z + alpha * h), atol=1e-5)


@hypothesis_settings(deadline=None, max_examples=60)
@given(st.integers(0, 12), st.integers(0, 6))
def test_frames_are_averaged_per_word_and_every_word_gets_frames(frames: int, words: int) -> None:
    x = torch.arange(12.0).reshape(1, 12, 1)
    found = by_word(x, torch.tensor([frames]), torch.tensor([words]), 6)[0, :, 0]
    for i in range(words):
        share = x[0, i * frames // words : -(-(i + 1) * frames // words), 0]
        assert float(found[i]) == pytest.approx(float(share.mean()) if frames else 0.0)
    assert not found[words:].any()
    if frames == words:
        assert torch.equal(found[:words], x[0, :words, 0]), "aligned files stay as they are"


# MTFN and MLMF


@pytest.mark.parametrize(("model", "single"), [("mtfn", "tfn"), ("mlmf", "lmf")])
def test_a_multi_task_network_fuses_as_its_single_task_one(model: str, single: str) -> None:
    torch.manual_seed(0)
    sizes = {name: (5, width) for name, width in SIZES.items()}
    small = ModelConfig(encoder_dims=dict.fromkeys(MODALITIES, 4))
    multi, one = MODELS[model](small, sizes).eval(), MODELS[single](small, sizes).eval()
    one.load_state_dict(multi.state_dict(), strict=False)
    batch = data.batch(examples(4, 0))
    with torch.no_grad():
        assert torch.equal(multi(batch)["sentiment"], one(batch)["sentiment"])


@pytest.mark.parametrize("model", ["mtfn", "mlmf"])
def test_a_multi_task_loss_is_that_of_four_tasks_where_people_looked(model: str) -> None:
    learning = task(model, unimodal_loss_weight=0.7)
    train = learning.corpus.train
    train.unimodal["text"][::2] = np.nan
    learning = SentimentTask(learning.config, learning.corpus)
    network = learning.model.network.eval()
    for epoch in range(3):
        step = learning.load(learning.plan(epoch)[0], epoch)
        with torch.no_grad():
            total = float(learning.loss(step, torch.device("cpu")))
            found = {name: v.numpy() for name, v in network(step.batch).items()}
        rows = step.rows.numpy()
        expected = np.abs(found["sentiment"] - train.labels[rows]).mean()
        for name in MODALITIES:
            error = np.abs(found[f"sentiment_{name}"] - train.unimodal[name][rows])
            expected += 0.7 * np.nan_to_num(error).mean()
        assert total == pytest.approx(expected, rel=1e-5)


def test_without_labels_of_single_modalities_a_multi_task_network_is_refused() -> None:
    made = corpus()
    made.train.unimodal.pop("audio")
    made.train.unimodal["vision"][:] = np.nan
    with pytest.raises(InputError, match=r"no unimodal labels for audio, vision.*mtfn.*self_mm"):
        require_labels(config("mtfn"), made)
    require_labels(config("mtme_human"), made)


# TFR-Net


def test_reconstruction_loss_covers_dropped_frames_only() -> None:
    learning = task("tfr_net", missing_rate=0.4)
    network = learning.model.network.eval()
    step = learning.load(learning.plan(0)[0], 0)
    with torch.no_grad():
        found = network(step.batch)
        loss = float(network.losses(found, step.batch, step.whole)["rebuilt"])
    expected = 0.0
    for name in MODALITIES:
        mean = network.inputs.get_buffer(f"{name}_mean").numpy()
        scale = network.inputs.get_buffer(f"{name}_scale").numpy()
        whole, seen = (b.features[name].numpy() for b in (step.whole, step.batch))
        inside = np.arange(5) < step.batch.lengths[name].numpy()[:, None]
        gone = inside & (seen == mean).all(axis=2)
        assert 0.2 < gone.sum() / inside.sum() < 0.6
        np.testing.assert_array_equal(seen[~gone & inside], whole[~gone & inside])
        wanted = np.clip((whole - mean) / scale, -5, 5)
        error = np.abs(found[f"rebuilt_{name}"].numpy() - wanted)[gone]
        expected += np.where(error < 1, 0.5 * error**2, error - 0.5).mean()
    assert loss == pytest.approx(expected, rel=1e-4)


def test_the_gated_encoder_takes_the_largest_of_what_its_gate_lets_through() -> None:
    torch.manual_seed(0)
    encoder = GatedEncoder(3, 4)
    x, lengths = torch.randn(3, 6, 3), torch.tensor([6, 2, 0])
    found = of(encoder, x, lengths)
    kernel = np.asarray(encoder.gate.weight.detach(), np.float64)[0]
    bias = float(encoder.gate.bias.detach())  # type: ignore[union-attr]
    for row, length in ((0, 6), (1, 2)):
        with torch.no_grad():
            states = np.asarray(encoder.gru(x[row : row + 1, :length])[0][0], np.float64)
        padded = np.concatenate([np.zeros((1, 8)), states, np.zeros((1, 8))])
        told = [(kernel * padded[t : t + 3].T).sum() + bias for t in range(length)]
        gate = 1 / (1 + np.exp(-np.array(told)))[:, None]
        both = np.concatenate([np.asarray(x[row, :length], np.float64), np.tanh(states) * gate], 1)
        np.testing.assert_allclose(
            found[row], np.tanh(layer(encoder.project, both)).max(0), atol=1e-5
        )
    assert not found[2].any()


# ALMT


def test_the_hyper_layer_matches_its_attention_equations() -> None:
    torch.manual_seed(0)
    hyper_layer = HyperLayer(6, heads=2)
    hyper, words, audio, vision = (torch.randn(2, 3, 6) for _ in range(4))
    normal = {
        name: normed(hyper_layer, np.asarray(value, np.float64))
        for name, value in (("text", words), ("audio", audio), ("vision", vision))
    }
    queries, seen = layer(hyper_layer.queries, normal["text"]), []
    for name in ("audio", "vision"):
        keys = layer(hyper_layer.project[f"keys_{name}"], normal[name])
        values = layer(hyper_layer.project[f"values_{name}"], normal[name])
        heads = []
        for head in (slice(0, 3), slice(3, 6)):
            scores = queries[..., head] @ keys[..., head].transpose(0, 2, 1) / np.sqrt(3)
            shares = np.exp(scores) / np.exp(scores).sum(axis=2, keepdims=True)
            heads.append(shares @ values[..., head])
        seen.append(np.concatenate(heads, axis=2))
    expected = np.asarray(hyper, np.float64) + layer(hyper_layer.out, seen[0] + seen[1])
    np.testing.assert_allclose(of(hyper_layer, hyper, words, audio, vision), expected, atol=1e-5)


def test_frames_beyond_the_length_change_no_answer() -> None:
    few, sizes = examples(3, 0), {name: (9, width) for name, width in SIZES.items()}
    for model in ("misa", "mag_bert", "tfr_net", "almt"):
        torch.manual_seed(0)
        small = ModelConfig(encoder_dims=dict.fromkeys(MODALITIES, 4), attention_dim=8, dropout=0.0)
        network = MODELS[model](small, sizes).eval()
        batch = data.batch(few)
        padded = {
            n: nn.functional.pad(v, (0, 0, 0, 4), value=7.0) for n, v in batch.features.items()
        }
        longer = Batch(padded, batch.lengths, [])
        other = {
            n: nn.functional.pad(v, (0, 0, 0, 4), value=-3.0) for n, v in batch.features.items()
        }
        with torch.no_grad():
            first = network(longer)["sentiment"]
            assert torch.equal(first, network(Batch(other, batch.lengths, []))["sentiment"]), model


def test_settings_that_a_network_cannot_have_are_refused() -> None:
    with pytest.raises(ConfigError, match="misa learns similar, different, rebuilt, not 'alike'"):
        config("misa", loss_weights={"alike": 1.0})
    with pytest.raises(ConfigError, match=r"network\.heads must divide network\.attention"):
        parse({"model": "almt", "dataset": "sims", "network": {"attention_dim": 10, "heads": 4}})
