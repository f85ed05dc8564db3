"""Checks of the environment: devices, permissions, sinks, services, temperature, disk space."""

from __future__ import annotations

import importlib.util
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from mera_edge.config import STDOUT, Settings, SinkSettings
from mera_edge.config.load import SYSTEM_FILE
from mera_edge.doctor.check import Check, State
from mera_edge.engine.cache import directory
from mera_edge.errors import MeraError, MissingExtra
from mera_edge.host.load import HOT_K
from mera_edge.host.sensors import SYSTEM, headroom, temperatures
from mera_edge.reasons import REMEDIES
from mera_edge.redaction import redacted
from mera_edge.service.systemd.obstacles import obstacles
from mera_edge.service.systemd.unit import RUN, WYOMING, program
from mera_edge.service.wyoming.announcement import place
from mera_edge.sinks.factory import reach
from mera_edge.sources.base import Source
from mera_edge.sources.capture_process import OPEN_LIMIT_S
from mera_edge.sources.select import NONE, select

LISTEN_S = 0.5
"""Audio that a microphone must deliver to pass."""

SCARCE_MB, FULL_MB = 1000, 20
"""Free disk space below which the check gives a note, and below which it fails."""


def sources(settings: Settings) -> Iterator[Check]:
    """Open every source until it delivers a frame or half a second of audio.

    Default devices that were not explicitly configured may be absent.
    """
    asked = bool(settings.model_fields_set & {"camera", "mic", "room"})
    addresses = [room.addresses() for room in settings.rooms]
    specs = dict.fromkeys((camera, NONE) for camera, _ in addresses)
    specs |= dict.fromkeys((NONE, mic) for _, mic in addresses)
    for camera, mic in specs:
        if camera == mic == NONE:
            continue
        (source,) = select(camera, mic)
        try:
            problem, found = _try(source)
            remedy = REMEDIES.get(source.condition.code or "cannot_open", "")
        except MeraError as error:
            problem, found, remedy = True, error.what, error.remedy
        if problem:
            yield Check(source.name, "fail" if asked else "note", found, remedy)
        else:
            yield Check(source.name, "ok", found)


def _try(source: Source) -> tuple[bool, str]:
    """Return whether there is a problem, and what was found."""
    heard: list[np.ndarray] = []
    try:
        source.open()
        began_s = time.monotonic()
        while (now_s := time.monotonic() - began_s) < OPEN_LIMIT_S:
            captured = source.poll(now_s)
            if source.condition.state == "gone":
                return True, source.condition.reason
            if captured.frame is not None:
                height, width = captured.frame.image.shape[:2]
                return False, f"delivers frames of {width}x{height}"
            heard += [sound.samples for sound in captured.audio]
            samples = np.concatenate(heard) if heard else np.empty(0, np.float32)
            if len(samples) >= LISTEN_S * 16_000:
                if not samples.any():
                    return True, "only digital silence: it may be muted"
                return False, f"delivers sound, {20 * np.log10(samples.std() + 1e-9):.0f} dB"
            if source.ended:
                return True, "provides neither the requested video nor audio"
            time.sleep(0.05)
    finally:
        source.close()
    return True, f"gives nothing for {OPEN_LIMIT_S:.0f} s"


def permissions(root: Path = SYSTEM) -> Iterator[Check]:
    """Check whether this user may open the cameras and microphones of the machine."""
    for what, pattern, group in (
        ("cameras of this machine", "dev/video*", "video"),
        ("microphones of this machine", "dev/snd/pcmC*c", "audio"),
    ):
        nodes = sorted(root.glob(pattern))
        closed = [str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
        if closed:
            remedy = f"run: sudo usermod -aG {group} $USER, and log in again"
            yield Check(what, "note", f"not permitted: {', '.join(closed)}", remedy)
        elif nodes:
            yield Check(what, "ok", ", ".join(map(str, nodes)))
        else:
            remedy = "nothing to do for network cameras, sound servers and files"
            yield Check(what, "note", f"none (no /{pattern})", remedy)


def sinks(settings: Settings) -> Iterator[Check]:
    """Check that files can be written, disk space is sufficient, and peers and ports are usable."""
    for target in settings.sink:
        if target.to in STDOUT:
            continue
        name = f"sink {redacted(target.to)}"
        if target.scheme is not None:
            yield _peer(name, target)
            continue
        path = Path(target.to).absolute()
        place = path if path.exists() else path.parent
        if not place.exists():
            yield Check(name, "fail", f"{place} does not exist", "create it")
        elif path.is_dir() or not os.access(place, os.W_OK):
            remedy = "choose another file, or change the owner"
            yield Check(name, "fail", f"{place} cannot be written", remedy)
        else:
            yield _disk(name, place, "events take about half a gigabyte a day")
    place = directory()
    while not place.exists():
        place = place.parent
    yield _disk("disk", place, "engines of TensorRT and pulled models need some")


def _peer(name: str, target: SinkSettings) -> Check:
    try:
        reach(target)
    except MeraError as error:
        return Check(name, "fail", error.what, error.remedy)
    return Check(name, "ok", "reachable")


def _disk(what: str, place: Path, use: str) -> Check:
    free_mb = shutil.disk_usage(place).free / 1e6
    found = f"{free_mb / 1000:.1f} GB free at {place}"
    if free_mb >= SCARCE_MB:
        return Check(what, "ok", found)
    state: State = "note" if free_mb >= FULL_MB else "fail"
    return Check(what, state, found, f"free some space: {use}")


def service(settings: Settings, root: Path = SYSTEM) -> Iterator[Check]:
    """Check what the installed system services cannot access."""
    config = root / SYSTEM_FILE.relative_to("/")
    for name in (RUN, WYOMING):
        unit = root / "etc/systemd/system" / name
        if not unit.exists():
            continue
        found = list(obstacles(settings, program(), config, name))
        for obstacle in found:
            state: State = "fail" if obstacle.fatal else "note"
            yield Check("as a service", state, obstacle.what, obstacle.remedy)
        if not found:
            yield Check("as a service", "ok", f"{unit} reaches all that is configured")


def wyoming(settings: Settings) -> Iterator[Check]:
    """Report whether the Wyoming service announces itself on the network, visible to everyone."""
    if not settings.wyoming.zeroconf:
        return
    try:
        host, port = place(settings.wyoming.uri)
    except MeraError as error:
        yield Check("wyoming", "fail", error.what, error.remedy)
        return
    if importlib.util.find_spec("zeroconf") is None:
        missing = MissingExtra("zeroconf", "zeroconf")
        yield Check("wyoming", "fail", missing.what, missing.remedy)
        return
    found = f"announces {host}:{port} to the local network (multicast DNS)"
    yield Check("wyoming", "note", found, "if that is not wanted: zeroconf = false")


def heat(root: Path = SYSTEM) -> Iterator[Check]:
    """Check how far the board is from thermal throttling."""
    zones = temperatures(root)
    left = headroom(root)
    if not zones:
        yield Check("heat", "ok", "no temperature sensor")
        return
    hottest = max(zones, key=lambda name: zones[name])
    found = f"{zones[hottest]:.0f} °C ({hottest})"
    if left is None:
        yield Check("heat", "ok", found)
    elif left > HOT_K:
        yield Check("heat", "ok", f"{found}, {left:.0f} K below throttling")
    else:
        remedy = "improve its cooling: until then, a run skips faces"
        yield Check("heat", "note", f"{found}, {left:.0f} K below throttling", remedy)
