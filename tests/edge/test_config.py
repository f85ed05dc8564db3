"""Settings come from four places, the later winning; a typing error is named."""

from pathlib import Path

import pytest

from mera_edge.config import load
from mera_edge.errors import ConfigError


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text('camera = "1"\nbudget_ms = 80\nmic = "none"\n')
    return path


def test_flags_win_over_environment_over_file_over_defaults(file: Path) -> None:
    settings = load(
        file, {"budget_ms": 40, "mic": None}, {"MERA_EDGE_BUDGET_MS": "60", "MERA_EDGE_CAMERA": "2"}
    )
    assert (settings.budget_ms, settings.camera, settings.mic) == (40, ("2",), ("none",))
    assert settings.ticks_per_second == 5


@pytest.mark.parametrize(
    ("text", "environment", "message"),
    [
        ("camra = 1", {}, "config.toml: unknown key 'camra': did you mean 'camera'"),
        ("budget_ms = 'soon'", {}, "config.toml: budget_ms = 'soon'"),
        ("budget_ms = ", {}, "config.toml cannot be read"),
        ("", {"MERA_EDGE_BUGDET_MS": "9"}, "MERA_EDGE_BUGDET_MS: .*did you mean 'budget_ms'"),
        ("", {"MERA_EDGE_BUDGET_MS": "1"}, "MERA_EDGE_BUDGET_MS: budget_ms = '1'"),
    ],
)
def test_what_cannot_be_used_is_named_with_its_place(
    tmp_path: Path, text: str, environment: dict[str, str], message: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(path, environment=environment)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml cannot be read"):
        load(tmp_path / "absent.toml", environment={})
