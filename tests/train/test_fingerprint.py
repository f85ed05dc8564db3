"""Another configuration or other data never gets the figures of an earlier run."""

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from mera_edge.errors import InputError
from mera_train import fingerprint
from mera_train.asr.config import Config as Asr
from mera_train.asr.corpora import Utterance
from mera_train.asr.data import contents
from mera_train.face.train import Config as Face
from mera_train.fingerprint import WITHOUT_EFFECT, Digests
from mera_train.fusion.config import Config as Fusion
from mera_train.msa.config import defaults
from mera_train.text.config import Config as Text
from mera_train.voice.config import Config as Voice

CONFIGS: list[BaseModel] = [
    Asr(),
    Face(),
    Fusion(encoders=Path("encoders")),
    Text(),
    Voice(),
    defaults("mtme", "mosi_bclstm"),
]
small = hypothesis_settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    if isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, (*path, key))
    else:
        yield path, value


def another(value: Any, draw: st.DataObject) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + draw.draw(st.sampled_from([1, -1, 0.01, -0.01, 8]))
    if isinstance(value, list | tuple):
        return [*value, *value[-1:]] if value else ["x"]
    return draw.draw(st.sampled_from(["x", "fp32", "bf16", "characters", "folds", None]))


@small
@given(st.data())
def test_every_setting_that_counts_is_in_the_fingerprint(data: st.DataObject) -> None:
    config = data.draw(st.sampled_from(CONFIGS))
    changed = config.model_dump(mode="json")
    # Of a path its content counts, and nothing lies there.
    paths = {where for where, v in leaves(config.model_dump()) if isinstance(v, Path)}
    found = [leaf for leaf in leaves(changed) if leaf[0] not in paths]
    path, value = data.draw(st.sampled_from(found))
    inside = changed
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = another(value, data)
    try:
        other = type(config).model_validate(changed)
    except (ValidationError, InputError):
        assume(False)
    name = ".".join(path)
    assume(other != config and name not in WITHOUT_EFFECT)
    there, here = fingerprint.of(config, {}), fingerprint.of(other, {})
    with pytest.raises(InputError, match=r"--fresh.*another folder") as refused:
        fingerprint.check(there, here, Path("run"))
    assert name.split(".")[-1] in str(refused.value)
    fingerprint.check(here, fingerprint.of(other, {}), Path("run"))


@small
@given(
    st.binary(min_size=1, max_size=300), st.integers(0), st.sampled_from(["a.pkl", "a.zip", "d/a"])
)
def test_digest_depends_only_on_content(tmp_path: Path, content: bytes, at: int, name: str) -> None:
    path, digests = tmp_path / name, Digests(tmp_path / "digests.json")
    path.parent.mkdir(exist_ok=True)

    def put(content: bytes) -> str:
        if name == "a.zip":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("inside", content)
        else:
            path.write_bytes(content)
        # As a tool leaves it that keeps times: nothing but the content tells.
        os.utime(path, (1e9, 1e9))
        digests.save()
        return digests.of(path.parent if name == "d/a" else path)

    first = put(content)
    place = at % len(content)
    assert put(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]) != first
    assert put(content) == first


def test_a_file_that_did_not_change_is_read_once(tmp_path: Path) -> None:
    path, kept = tmp_path / "large.pkl", tmp_path / "kept" / "digests.json"
    path.write_bytes(b"1")
    digests = Digests(kept)
    digests.of(path)
    digests.save()
    # It was just written, and might be again within the same tick of the clock.
    assert not kept.exists() or json.loads(kept.read_text()) == {}
    about = path.stat()
    seen = [about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_ino]
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(json.dumps({str(path): [seen, "#known"]}))
    assert Digests(kept).of(path) == "#known"
    kept.write_text("{")
    assert Digests(kept).of(path) == digests.of(path), "a spoilt cache costs time only"


@small
@given(st.data())
def test_fingerprint_of_a_corpus_covers_audio_and_labels(
    tmp_path: Path, data: st.DataObject
) -> None:
    sound = tmp_path / "a.wav"
    sound.write_bytes(np.arange(50, dtype=np.float32).tobytes())
    row = Utterance(str(tmp_path), "a.wav", "hello", "anna", "train")
    before = contents(tmp_path, [row], Digests())
    what = data.draw(st.sampled_from(["text", "speaker", "split", "sound", "more"]))
    rows = [row]
    if what == "sound":
        sound.write_bytes(sound.read_bytes()[::-1])
    elif what == "more":
        rows = [row, row]
    else:
        changed = {name: getattr(row, name) for name in Utterance.__slots__} | {what: "other"}
        rows = [Utterance(**changed)]
    after = contents(tmp_path, rows, Digests())
    with pytest.raises(InputError, match=f"{tmp_path} has other content"):
        fingerprint.check(before, after, Path("run"))


def test_cached_files_are_reused_only_for_the_same_fingerprint(tmp_path: Path) -> None:
    path = tmp_path / "frames.jsonl"
    assert fingerprint.stale(path, "#1")
    path.write_text("half")
    assert fingerprint.stale(path, "#1"), "it was never completed"
    fingerprint.stamp(path, "#1")
    assert not fingerprint.stale(path, "#1")
    assert fingerprint.stale(path, "#2")
    assert fingerprint.stale(path, "#1"), "it may have been half overwritten since"
