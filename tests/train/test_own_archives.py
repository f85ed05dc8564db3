"""Examples in the archives that people have them in."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from mera_edge.errors import InputError
from mera_train.own import layouts
from mera_train.own.archives import unpacked

arrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

PNG, WAV = b"\x89PNG picture", b"RIFF sound"


def shard(path: Path, members: list[tuple[str, bytes]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def columns(data: Path, out: Path) -> list[dict[str, str]]:
    """What is read; files by their content."""
    folder = unpacked(data, out)
    found = []
    for row in layouts.rows(folder, ("label",)):
        given = dict(row.columns)
        if "file" in given:
            given["file"] = (row.folder / given["file"]).read_bytes().decode("latin-1")
        found.append(given)
    return found


def test_shards_of_a_webdataset_are_one_table(tmp_path: Path) -> None:
    told = json.dumps({"emotion": "sad", "speaker": "p2", "text": "so, sad"}).encode()
    shard(tmp_path / "set" / "train-000000.tar", [
        ("a/1.jpg", PNG), ("a/1.cls", b"happy\n"), ("a/1.txt", b"so glad"),
        ("a/2.json", told), ("a/2.jpg", PNG + b"2"), ("a/2.npy", b"what is not known"),
    ])  # fmt: skip
    shard(tmp_path / "set" / "val-000000.tar", [("3.left.png", PNG), ("3.cls", b"0")])
    assert columns(tmp_path / "set", tmp_path / "run") == [
        {"split": "train", "file": PNG.decode("latin-1"), "label": "happy", "text": "so glad"},
        {"split": "train", "label": "sad", "person": "p2", "text": "so, sad",
         "file": PNG.decode("latin-1") + "2"},
        {"split": "valid", "file": PNG.decode("latin-1"), "label": "0"},
    ]  # fmt: skip


def test_unpacking_stays_inside_and_repeats_after_changes(
    tmp_path: Path,
) -> None:
    path = shard(tmp_path / "one.tar", [("../../evil.jpg", PNG), ("../../evil.cls", b"sad")])
    folder = unpacked(path, tmp_path / "run")
    before = (folder / "metadata.jsonl").stat().st_mtime_ns
    assert {p.name for p in folder.iterdir()} == {"000000.jpg", "metadata.jsonl"}
    assert not list(tmp_path.parent.glob("evil*"))
    unpacked(path, tmp_path / "run")
    assert (folder / "metadata.jsonl").stat().st_mtime_ns == before
    shard(path, [("1.jpg", PNG), ("1.cls", b"happy")])
    assert [row["label"] for row in columns(path, tmp_path / "run")] == ["happy"]


@pytest.mark.parametrize("content", [b"", b"no tar", b"\x1f\x8b broken gzip"])
def test_a_broken_archive_is_named(tmp_path: Path, content: bytes) -> None:
    for suffix in (".tar", ".parquet"):
        (tmp_path / f"bad{suffix}").write_bytes(content)
        with pytest.raises(InputError, match=rf"bad\{suffix}"):
            unpacked(tmp_path / f"bad{suffix}", tmp_path / "run")


def of_datasets(rows: list[dict[str, Any]]) -> Any:
    """A table as `datasets` makes it: classes are numbers, their names beside the data."""
    told = {"info": {"features": {"label": {"names": ["sad", "happy"], "_type": "ClassLabel"}}}}
    made = arrow.Table.from_pylist(rows)
    return made.replace_schema_metadata({"huggingface": json.dumps(told)})


ROWS = [
    {"audio": {"bytes": WAV, "path": "1.wav"}, "label": 1, "speaker_id": 7},
    {"audio": {"bytes": WAV, "path": None}, "label": 0, "speaker_id": None},
]
READ = [
    {"file": WAV.decode(), "label": "happy", "person": "7"},
    {"file": WAV.decode(), "label": "sad", "person": ""},
]


def test_parquet_of_the_hub_has_its_splits_and_class_names(tmp_path: Path) -> None:
    (tmp_path / "set" / "data").mkdir(parents=True)
    for name in ("train-00000-of-00001", "test-00000-of-00001"):
        parquet.write_table(of_datasets(ROWS), tmp_path / "set" / "data" / f"{name}.parquet")
    found = columns(tmp_path / "set", tmp_path / "run")
    assert found == [{"split": s, **row} for s in ("test", "train") for row in READ]


def test_saved_dataset_is_read(tmp_path: Path) -> None:
    for split in ("train", "validation"):
        path = tmp_path / "set" / split / "data-00000-of-00001.arrow"
        path.parent.mkdir(parents=True)
        made = of_datasets(ROWS)
        with arrow.OSFile(str(path), "wb") as file, arrow.ipc.new_stream(file, made.schema) as to:
            to.write_table(made)
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "validation"]}')
    found = columns(tmp_path / "set", tmp_path / "run")
    assert found == [{"split": s, **row} for s in ("train", "valid") for row in READ]


def test_data_that_are_not_archives_are_used_in_place(tmp_path: Path) -> None:
    (tmp_path / "metadata.csv").write_text("file_name,label\n")
    shard(tmp_path / "one.tar", [("1.cls", b"sad")])
    assert unpacked(tmp_path, tmp_path / "run") == tmp_path, "a table goes before archives"
    assert unpacked(tmp_path / "nothing.csv", tmp_path / "run") == tmp_path / "nothing.csv"
