"""Errors come whole from another process."""

import copy
import pickle

import pytest

from mera_edge.errors import (
    CheckFailed,
    ConfigError,
    InputError,
    MeraError,
    MissingExtra,
    SourceError,
)


def test_an_error_does_not_show_the_password_of_an_address() -> None:
    """Whatever raises it, and whatever it took the address for."""
    for spec in ("rtsp://me:s3cret@host/1", "http:/host/1?password=s3cret"):
        error = InputError(f"{spec} does not exist", "write rtsp://USER@HOST/PATH")
        assert "s3cret" not in repr(error) + str(error) + error.what
        assert "host" in error.what
        assert "rtsp://USER@HOST/PATH" in str(error)


def test_an_error_about_something_endless_can_be_read() -> None:
    error = ConfigError(
        "config.toml: camera = '" + "a" * 100_000 + "' is not a camera", "give a URL"
    )
    assert len(str(error)) < 2000
    assert str(error).startswith("config.toml: camera") and "is not a camera: give a URL" in str(
        error
    )


@pytest.mark.parametrize(
    "error",
    [
        InputError("a is wrong"),
        InputError("a is wrong", "use b"),
        CheckFailed("no", "try again"),
        MissingExtra("PyAudio", "mic"),
        SourceError("refused", "connection refused"),
    ],
)
@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_error_survives_pickling(error: MeraError, protocol: int) -> None:
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error)):
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert vars(again) == vars(error)
        assert again.exit_code == error.exit_code
