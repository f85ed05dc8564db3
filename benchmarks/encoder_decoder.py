"""Fine-tuning of Whisper, an encoder-decoder, on a corpus.

    python benchmarks/encoder_decoder.py WHISPER CORPUS OUT [EPOCHS]

WHISPER is the folder of a model in CTranslate2's format (model.bin, tokenizer.json), CORPUS an
unpacked corpus whose manifest.csv has ``file,split,speaker,text``. Learns from the speakers that
are ``train`` but for every twelfth, which are dev; sentences of ``test`` are left out. Prints dev's
word error rate after every epoch, and at the end that of ``test``, once, with the weights that did
best on dev; they are in OUT. Sound is not filled up to 30 s, as Whisper's own code does.
"""

from __future__ import annotations

import csv
import json
import random
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

from mera_edge.features.fbank import SAMPLE_RATE
from mera_edge.metrics.word_error_rate import normalized, word_error_rate
from mera_train import audio
from mera_train.asr.pretrained import variables

SILENCE = np.zeros(SAMPLE_RATE // 2, np.float32)
RATE, WARMUP, BATCH_S, SEED = 5e-5, 50, 40, 1
LONGEST = 60
"""Tokens of an utterance at most, when it is recognized."""


@dataclass(frozen=True)
class Utterance:
    """What was said by whom, and the log-mel energies of how it sounded, ``[80, T]``."""

    text: str
    speaker: str
    split: str
    mel: Tensor


ATTENTION = {"linear_0": ("q_proj", "k_proj", "v_proj"), "linear_1": ("out_proj",)}
CROSS = {"linear_0": ("q_proj",), "linear_1": ("k_proj", "v_proj"), "linear_2": ("out_proj",)}
FEED_FORWARD = {"linear_0": ("fc1",), "linear_1": ("fc2",)}
PARTS = {
    "self_attention": ("self_attn.", "self_attn_layer_norm", ATTENTION),
    "attention": ("encoder_attn.", "encoder_attn_layer_norm", CROSS),
    "ffn": ("", "final_layer_norm", FEED_FORWARD),
}
NORMS = {"gamma": "weight", "beta": "bias"}


def named(name: str, value: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Yield a tensor of CTranslate2's file under the names that it has in transformers."""
    side, *path = name.split("/")
    if path[0] == "embeddings":
        yield f"model.{side}.embed_tokens.weight", value
    elif path[0] == "position_encodings":
        yield f"model.{side}.embed_positions.weight", value
    elif path[0].startswith("conv"):
        yield f"model.{side}.{path[0]}.{path[1]}", value
    elif path[0] == "layer_norm":
        yield f"model.{side}.layer_norm.{NORMS[path[1]]}", value
    elif path[0].startswith("layer_"):
        prefix, norm, linear = PARTS[path[1]]
        layer = f"model.{side}.layers.{path[0].removeprefix('layer_')}."
        if path[2] == "layer_norm":
            yield f"{layer}{norm}.{NORMS[path[3]]}", value
            return
        names = linear[path[2]]
        for each, part in zip(names, value.chunk(len(names)), strict=True):
            # Whisper's keys have no bias.
            if (each, path[3]) != ("k_proj", "bias"):
                yield f"{layer}{prefix}{each}.{path[3]}", part


def whisper(folder: Path) -> WhisperForConditionalGeneration:
    """Return the network with the file's weights."""
    found: dict[str, Tensor] = {}
    for name, value in variables((folder / "model.bin").read_bytes()):
        if "/" in name and not name.startswith("decoder/projection"):
            found |= named(name, torch.from_numpy(value.astype(np.float32)))
    words, width = found["model.decoder.embed_tokens.weight"].shape
    layers = sum(name.endswith("fc1.weight") for name in found) // 2
    config = WhisperConfig(
        vocab_size=words,
        d_model=width,
        encoder_layers=layers,
        decoder_layers=layers,
        encoder_attention_heads=width // 64,
        decoder_attention_heads=width // 64,
        encoder_ffn_dim=4 * width,
        decoder_ffn_dim=4 * width,
        dropout=0.1,
    )
    model = WhisperForConditionalGeneration(config)
    missing, unexpected = model.load_state_dict(found, strict=False)
    if unexpected or set(missing) - {"proj_out.weight"}:
        raise SystemExit(f"{folder} is not Whisper: {missing} {unexpected}")
    model.tie_weights()
    return model


def utterances(corpus: Path) -> list[Utterance]:
    """Read a corpus; what is said in its test is taken out of what is learnt from."""
    extract = WhisperFeatureExtractor()
    with (corpus / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    dev = set(sorted({row["speaker"] for row in rows if row["split"] == "train"})[::12])
    asked = {row["text"] for row in rows if row["split"] == "test"}
    found = []
    for row in rows:
        split = "dev" if row["speaker"] in dev else row["split"]
        if split == "train" and row["text"] in asked:
            continue
        sound = np.concatenate([audio.read(corpus, row["file"]), SILENCE])
        mel = extract(sound, sampling_rate=SAMPLE_RATE, padding=False, return_tensors="pt")
        found.append(Utterance(row["text"], row["speaker"], split, mel.input_features[0].half()))
    return found


def batches(some: Sequence[Utterance]) -> list[list[Utterance]]:
    """Return utterances of like lengths together, about `BATCH_S` seconds of sound each."""
    batch: list[Utterance] = []
    made = [batch]
    for each in sorted(some, key=lambda one: one.mel.shape[1]):
        if (len(batch) + 1) * each.mel.shape[1] > BATCH_S * 100 and batch:
            batch = []
            made.append(batch)
        batch.append(each)
    return made


class Recognizer:
    """Whisper on sound of any length."""

    def __init__(self, folder: Path) -> None:
        self.model = whisper(folder)
        self.words = Tokenizer.from_file(str(folder / "tokenizer.json"))
        several = (
            self.words.token_to_id("<|en|>") is not None and len(self.words.get_vocab()) > 51864
        )
        prompt = ["<|startoftranscript|>", *(["<|en|>", "<|transcribe|>"] if several else [])]
        self.prompt = [self.words.token_to_id(each) for each in (*prompt, "<|notimestamps|>")]
        self.end = self.words.token_to_id("<|endoftext|>")

    def encode(self, batch: Sequence[Utterance], masked: bool = False) -> Tensor:
        """Return hidden states, ``[N, T / 2, width]``; shorter ones are filled up with silence."""
        longest = max(each.mel.shape[1] for each in batch)
        mel = torch.stack(
            [
                nn.functional.pad(
                    each.mel.float(), (0, longest - each.mel.shape[1]), value=float(each.mel.min())
                )
                for each in batch
            ]
        )
        if masked:
            mel = spec_augment(mel)
        encoder = self.model.model.encoder
        hidden = nn.functional.gelu(encoder.conv1(mel))
        hidden = nn.functional.gelu(encoder.conv2(hidden)).transpose(1, 2)
        hidden = hidden + encoder.embed_positions.weight[: hidden.shape[1]]
        for layer in encoder.layers:
            hidden = layer(hidden, None)
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        return encoder.layer_norm(hidden)

    def loss(self, batch: Sequence[Utterance]) -> Tensor:
        """Return the mean cross-entropy of a token."""
        texts = [self.words.encode(" " + u.text, add_special_tokens=False).ids for u in batch]
        longest = max(map(len, texts)) + 1
        given = torch.full((len(batch), len(self.prompt) + longest - 1), self.end)
        wanted = torch.full_like(given, -100)
        for row, text in enumerate(texts):
            begin = len(self.prompt)
            given[row, : begin + len(text)] = torch.tensor(self.prompt + text)
            wanted[row, begin - 1 : begin + len(text)] = torch.tensor([*text, self.end])
        decoded = self.model.model.decoder(
            input_ids=given, encoder_hidden_states=self.encode(batch, masked=True), use_cache=False
        )
        scores = self.model.proj_out(decoded.last_hidden_state)
        return nn.functional.cross_entropy(
            scores.flatten(0, 1), wanted.flatten(), ignore_index=-100
        )

    @torch.inference_mode()
    def recognize(self, batch: Sequence[Utterance]) -> list[str]:
        """Return the likeliest tokens one after another, as text."""
        hidden, cache = self.encode(batch), None
        said = [list[int]() for _ in batch]
        given = torch.tensor([self.prompt] * len(batch))
        open_ = torch.ones(len(batch), dtype=torch.bool)
        for _ in range(LONGEST):
            decoded = self.model.model.decoder(
                input_ids=given, encoder_hidden_states=hidden, past_key_values=cache, use_cache=True
            )
            cache = decoded.past_key_values
            scores = self.model.proj_out(decoded.last_hidden_state[:, -1])
            scores[:, self.end + 1 :] = -torch.inf
            given = scores.argmax(-1, keepdim=True)
            open_ &= given[:, 0] != self.end
            for row in open_.nonzero()[:, 0].tolist():
                said[row].append(int(given[row, 0]))
            if not open_.any():
                break
        return [self.words.decode(tokens) for tokens in said]

    def wer(self, some: Sequence[Utterance]) -> dict[str, object]:
        """Return the word error rate and its interval."""
        self.model.eval()
        heard = [
            (u, text)
            for batch in batches(some)
            for u, text in zip(batch, self.recognize(batch), strict=True)
        ]
        return word_error_rate(
            [normalized(u.text) for u, _ in heard], [normalized(text) for _, text in heard]
        )


def spec_augment(mel: Tensor) -> Tensor:
    """Return energies with two bands and two stretches at the mean (Park et al., 2019)."""
    mel, mean = mel.clone(), mel.mean()
    for row in mel:
        for _ in range(2):
            bins, begin = random.randrange(13), random.randrange(68)
            row[begin : begin + bins] = mean
            frames = random.randrange(25)
            begin = random.randrange(max(1, row.shape[1] - frames))
            row[:, begin : begin + frames] = mean
    return mel


def main() -> None:
    folder, corpus, out = map(Path, sys.argv[1:4])
    epochs = int(sys.argv[4]) if len(sys.argv) > 4 else 4
    torch.manual_seed(SEED)
    random.seed(SEED)
    out.mkdir(parents=True, exist_ok=True)
    parts: dict[str, list[Utterance]] = {"train": [], "dev": [], "test": []}
    for utterance in utterances(corpus):
        parts[utterance.split].append(utterance)
    print({name: len(part) for name, part in parts.items()}, flush=True)
    recognizer = Recognizer(folder)
    best, made = float("inf"), batches(parts["train"])
    steps = epochs * len(made)
    optimizer = torch.optim.AdamW(recognizer.model.parameters(), lr=RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, step / WARMUP) * (1 - step / steps)
    )
    for epoch in range(1, epochs + 1):
        recognizer.model.train()
        losses = []
        for batch in random.sample(made, len(made)):
            loss = recognizer.loss(batch)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(recognizer.model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        dev = recognizer.wer(parts["dev"])
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}, dev {dev['wer']:.1%}", flush=True)
        if dev["wer"] < best:
            best = dev["wer"]
            torch.save(recognizer.model.state_dict(), out / "best.pt")
    recognizer.model.load_state_dict(torch.load(out / "best.pt", weights_only=True))
    print("test:", json.dumps(recognizer.wer(parts["test"])), flush=True)


if __name__ == "__main__":
    main()
