"""`models`, `doctor` and `evaluate` on the default bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mera_edge.sample import CLIP

ROLES = ("vad", "asr", "voice", "face_detector", "face", "text", "fusion")


def test_every_model_is_listed_with_its_size_and_licence(cli: Callable) -> None:
    facts = json.loads(cli("models", "list", "--json").out)
    assert set(facts["roles"]) == set(ROLES)
    assert all(role["bytes"] > 0 and role["licence"] for role in facts["roles"].values())
    assert "yunet" in facts["published"]
    assert cli("models", "list").code == 0


@pytest.mark.parametrize("role", ROLES)
def test_every_model_has_a_card_with_licence_and_metrics(cli: Callable, role: str) -> None:
    result = cli("models", "show", role, "--json")
    entry = json.loads(result.out)
    assert entry["card"].startswith("#")
    assert "licen" in entry["card"].lower()
    assert entry["metrics"]
    assert cli("models", "show", role).code == 0


def test_the_default_bundle_is_whole(cli: Callable) -> None:
    assert "is intact" in cli("models", "verify").out


def test_an_unknown_name_is_refused_with_the_known_ones(cli: Callable) -> None:
    result = cli("models", "show", "nose")
    assert result.code == 2
    assert "no role and no published model 'nose'" in result.err
    assert "face_detector" in result.err and "silero" in result.err


def test_a_role_that_the_bundle_lacks_is_named(cli: Callable) -> None:
    assert "no model for asr_final" in cli("models", "show", "asr_final").err


def test_doctor_finds_the_bundle_healthy_and_says_what_is_missing(cli: Callable) -> None:
    result = cli("doctor", "--json")
    assert result.code == 0
    findings = {finding["what"]: finding for finding in json.loads(result.out)}
    assert findings["bundle"]["state"] == "ok"
    assert findings["model voice"]["found"].endswith("CPUExecutionProvider")
    assert findings["camera 0"]["state"] == "ok" or findings["camera 0"]["remedy"]
    assert not [f for f in findings.values() if f["state"] == "note" and not f["remedy"]]


def test_doctor_examines_what_is_configured(cli: Callable, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(f'camera = "{CLIP}"\nmic = "{CLIP}"\nsink = "{tmp_path}/absent/a.jsonl"\n')
    result = cli("doctor", "--config", config, "--json")
    assert result.code == 1
    assert f"failed checks: sink {tmp_path}/absent/a.jsonl" in result.err
    findings = {finding["what"]: finding for finding in json.loads(result.out)}
    assert findings[str(CLIP)]["state"] == "ok"
    assert "100 ms are allowed" in findings["budget"]["found"]


def test_doctor_fails_for_a_broken_bundle(cli: Callable, tmp_path: Path) -> None:
    result = cli("doctor", "--bundle", tmp_path)
    assert result.code == 1
    assert "failed checks: bundle" in result.err


def test_evaluate_counts_only_labels_that_occur(cli: Callable, tmp_path: Path) -> None:
    manifest = tmp_path / "rows.csv"
    manifest.write_text("text,label\ni am so happy,joy\ni hate you,Anger\n我很高兴,happy\n")
    facts = json.loads(cli("evaluate", "text", "--manifest", manifest, "--json").out)
    assert facts["role"] == "text"
    assert facts["n"] == 3
    assert set(facts["per_class"]) == {"happy", "angry"}
    assert 0 <= facts["macro_f1"] <= 1
    assert facts["unanswered"] == 0


def test_evaluate_draws_people_where_the_table_names_them(cli: Callable, tmp_path: Path) -> None:
    manifest = tmp_path / "rows.csv"
    rows = [f"i am so {word},{word},p{n % 10}\n" for n in range(20) for word in ("happy", "angry")]
    manifest.write_text("text,label,speaker\n" + "".join(rows))
    facts = json.loads(cli("evaluate", "text", "--manifest", manifest, "--json").out)
    assert (facts["n"], facts["people"]) == (40, 10) and facts["effective_n"] <= 40
    assert "10 people, effective n = " in cli("evaluate", "text", "--manifest", manifest).out


def test_published_models_are_shown_and_licence_limits_enforced(cli: Callable) -> None:
    shown = cli("models", "show", "goemotions-minilm").out
    assert "Apache-2.0: may be used commercially" in " ".join(shown.split())
    assert json.loads(cli("models", "show", "silero", "--json").out)["role"] == "vad"
    for name, why in (("emotieff-b0", "non-commercial"), ("sense-voice", "read the licence")):
        refused = cli("models", "pull", name, "--licence", "commercial")
        assert refused.code == 2
        assert why in " ".join(refused.err.split())


def test_evaluate_tells_speech_from_noise(cli: Callable, media: Callable, tmp_path: Path) -> None:
    manifest = tmp_path / "rows.csv"
    manifest.write_text(f"file,label\n{CLIP},speech\n{media(picture=False)},noise\n")
    facts = json.loads(cli("evaluate", "vad", "--manifest", manifest, "--json").out)
    assert facts["accuracy"] == 1


@pytest.mark.parametrize("role", ["voice", "fused"])
def test_evaluate_takes_clips(cli: Callable, tmp_path: Path, role: str) -> None:
    manifest = tmp_path / "rows.csv"
    manifest.write_text(f"file,label\n{CLIP},happy\n")
    facts = json.loads(cli("evaluate", role, "--manifest", manifest, "--json").out)
    assert facts["n"] == 1


def test_evaluate_asr_gives_error_rates(cli: Callable, tmp_path: Path) -> None:
    manifest = tmp_path / "rows.csv"
    manifest.write_text(f'file,text\n{CLIP},"What a beautiful day"\n')
    facts = json.loads(cli("evaluate", "asr", "--manifest", manifest, "--json").out)
    assert facts["words"] == 4
    assert facts["wer"] >= 0
    assert facts["real_time_factor"] > 0
