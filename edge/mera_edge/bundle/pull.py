"""Published models that are not ours to ship: fetched once, verified by hash, kept for the user."""

from __future__ import annotations

import os
import shutil
import tarfile
import tempfile
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from mera_edge.bundle.manifest import RoleName, sha256
from mera_edge.errors import InputError

_TIMEOUT_S = 30


@dataclass(frozen=True)
class Published:
    """A model that others publish."""

    role: RoleName
    file: str
    """What it is called here: a directory, where ``url`` is an archive."""
    url: str
    sha256: str
    """Of the file at ``url``."""
    licence: str
    what: str

    @property
    def is_archive(self) -> bool:
        """Whether it is published as an archive, and unpacked here."""
        return self.url.endswith(".tar.bz2")


def _sherpa(name: str, sha256: str, what: str) -> Published:
    """A streaming recognizer of sherpa-onnx."""
    url = f"https://github.com/k2-fsa/sherpa-onnx/releases/download/asr-models/{name}.tar.bz2"
    return Published("asr", name, url, sha256, "Apache-2.0", what)


CATALOGUE = {
    "yunet": Published(
        role="face_detector",
        file="yunet_n_320_320.onnx",
        url="https://github.com/ShiqiYu/libfacedetection.train/raw/"
        "0047ac24afb1a50a0c6105001c89d1b5b805dbf1/onnx/yunet_n_320_320.onnx",
        sha256="81dbde155e982455488235acb8ec2dec5d647edf7cf7080d33e4abb69b93a0d2",
        licence="Apache-2.0",
        what="face detector with five landmarks, side views too; faster than OpenCV's cascades",
    ),
    "zipformer-en": _sherpa(
        "sherpa-onnx-streaming-zipformer-en-20M-2023-02-17",
        "9c559283e8498d3fe95913c79ca1cb454bb26281ac2b102b41306c7d752765d9",
        "for --asr sherpa:zipformer-en; English, 128 MB",
    ),
    "zipformer-zh": _sherpa(
        "sherpa-onnx-streaming-zipformer-zh-14M-2023-02-23",
        "2cbd71b640d9c37d3784f29367333a4577b0398b62e9deeed418170b081cba8b",
        "for --asr sherpa:zipformer-zh; Mandarin, 74 MB",
    ),
    "zipformer-zh-en": _sherpa(
        "sherpa-onnx-streaming-zipformer-bilingual-zh-en-2023-02-20",
        "27ffbd9ee24ad186d99acc2f6354d7992b27bcab490812510665fa8f9389c5f8",
        "for --asr sherpa:zipformer-zh-en; both, 511 MB",
    ),
}


def directory() -> Path:
    """Where pulled models lie: ``MERA_EDGE_MODELS``, else the user's data directory."""
    chosen = os.environ.get("MERA_EDGE_MODELS")
    if chosen:
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME")
    return (Path(data) if data else Path.home() / ".local" / "share") / "mera-edge" / "models"


def pulled(name: str) -> Path | None:
    """Return where a published model is, or ``None`` when it has not been pulled.

    Raises:
        InputError: the file is there but is not what was published. (What was unpacked from an
            archive was verified when it came.)
    """
    model = CATALOGUE[name]
    path = directory() / model.file
    if not path.exists():
        return None
    if not model.is_archive and sha256(path) != model.sha256:
        raise InputError(f"{path} was altered", f"run: mera-edge models pull {name}")
    return path


def pull(name: str, source: Path | None = None) -> Path:
    """Bring a published model.

    Args:
        name: a key of `CATALOGUE`.
        source: a file brought by other means, for a device without a network.

    Returns:
        Where it lies now.

    Raises:
        InputError: unknown name, no network, or a file that is not the published one; what was
            there before stays as it was.
    """
    if name not in CATALOGUE:
        raise InputError(f"no published model is called {name!r}", f"known: {', '.join(CATALOGUE)}")
    model = CATALOGUE[name]
    target = directory() / model.file
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        arrived = Path(scratch) / "arrived"
        try:
            if source is None:
                with (
                    urllib.request.urlopen(model.url, timeout=_TIMEOUT_S) as answer,
                    arrived.open("wb") as file,
                ):
                    shutil.copyfileobj(answer, file)
            else:
                shutil.copyfile(source, arrived)
        except (urllib.error.URLError, OSError) as error:
            raise InputError(
                f"{name} could not be brought from {source or model.url} ({error})",
                f"fetch it elsewhere and run: mera-edge models pull {name} --from FILE",
            ) from error
        if sha256(arrived) != model.sha256:
            raise InputError(
                f"{source or model.url} is not the published {name} (its SHA-256 differs)",
                "nothing was installed: fetch it again",
            )
        if model.is_archive:
            with tarfile.open(arrived) as archive:
                archive.extractall(scratch, filter="data")
            arrived = Path(scratch) / model.file
            shutil.rmtree(target, ignore_errors=True)
        arrived.replace(target)
    return target
