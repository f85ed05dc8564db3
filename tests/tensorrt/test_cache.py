"""Only an engine that fits is found; where none fits, the difference is told."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mera_edge.bundle import Bundle
from mera_edge.engine import cache
from mera_edge.engine.cuda import Device
from mera_edge.errors import EngineError

ORIN = Device("Orin", "8.7")
LINUX = "# R36 (release), REVISION: 4.3, GCID: 38968081, BOARD: generic, EABI: aarch64\n"


@pytest.fixture
def key(bundle: Callable[..., Bundle]) -> cache.Key:
    return cache.Key.of(bundle().role("voice").entry, "10.3.0", ORIN, {"workspace_mb": 512})


def changed(key: cache.Key, **parts: object) -> cache.Key:
    return key.model_copy(update=parts)


def test_stored_engine_is_found_whatever_its_options(key: cache.Key) -> None:
    path = cache.store(key, b"engine", {"unit": "apples"}, {"INT8": 3})
    found, record = cache.find(changed(key, options={}))
    assert (found, record.metadata, record.layers) == (path, {"unit": "apples"}, {"INT8": 3})
    assert not record.probed
    assert path.read_bytes() == b"engine"


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"tensorrt": "10.7.0"}, r"built for TensorRT 10\.3\.0, this is 10\.7\.0"),
        ({"gpu": "Thor", "capability": "11.0"}, "built for GPU Orin, this is Thor; built for com"),
        ({"l4t": "36.4.3"}, r"built for Jetson Linux None, this is 36\.4\.3"),
        ({"precision": "fp16"}, "precision int8, this is fp16"),
        ({"shapes": {"x": (2, 2)}}, "input shapes"),
        ({"onnx": "0" * 64}, "no engine has been built for this model"),
    ],
)
def test_missing_engine_has_a_reason(key: cache.Key, parts: dict, message: str) -> None:
    cache.store(key, b"engine", {}, {})
    with pytest.raises(EngineError, match=message):
        cache.find(changed(key, **parts))


def test_the_one_that_fits_is_found_among_others(key: cache.Key) -> None:
    cache.store(key, b"old", {}, {})
    path = cache.store(changed(key, tensorrt="10.7.0"), b"new", {}, {})
    assert cache.find(changed(key, tensorrt="10.7.0"))[0] == path


def test_a_changed_engine_is_refused(key: cache.Key) -> None:
    cache.store(key, b"engine", {}, {}).write_bytes(b"engime")
    with pytest.raises(EngineError, match="is not the engine that was built"):
        cache.find(key)


def test_an_engine_with_a_truncated_record_is_ignored(key: cache.Key) -> None:
    path = cache.store(key, b"engine", {}, {})
    path.with_suffix(".json").write_text("{")
    assert cache.built_from(key.onnx) == []
    cache.remove(path)
    assert list(path.parent.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_named(key: cache.Key, engines: Path) -> None:
    engines.write_text("a file")
    with pytest.raises(EngineError, match="cannot be written"):
        cache.store(key, b"engine", {}, {})


def test_the_release_of_a_jetson_is_read(bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    entry = bundle().role("voice").entry
    (tmp_path / "release").write_text(LINUX)
    releases = tmp_path / "release", tmp_path / "absent"
    found = [cache.Key.of(entry, "10.3.0", ORIN, release=path).l4t for path in releases]
    assert found == ["36.4.3", None]


def test_engines_lie_in_the_users_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("MERA_EDGE_ENGINES")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.directory() == tmp_path / "mera-edge" / "engines"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(parts=st.fixed_dictionaries({}, optional={
    name: st.text(max_size=5) for name in ("tensorrt", "gpu", "capability", "l4t", "precision")
}))  # fmt: skip
def test_a_key_fits_exactly_when_no_part_differs(key: cache.Key, parts: dict) -> None:
    other = changed(key, options={"workspace_mb": 1}, **parts)
    assert bool(key.differences(other)) == (changed(other, options=key.options) != key)
