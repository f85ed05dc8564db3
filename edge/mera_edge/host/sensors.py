"""Sensors of the board: temperatures, clocks, power mode, energy. Read only."""

from __future__ import annotations

import time
from pathlib import Path

SYSTEM = Path("/")


def temperatures(root: Path = SYSTEM) -> dict[str, float]:
    """Return the temperature of every thermal zone by its type, in degrees Celsius."""
    found = {}
    for zone in _zones(root):
        name, value = _text(zone / "type"), _number(zone / "temp")
        if name is not None and value is not None:
            found[name] = value / 1000
    return found


def headroom(root: Path = SYSTEM) -> float | None:
    """Return the kelvin left until the first thermal zone throttles the board.

    ``None`` if no zone has a passive or hot trip point.
    """
    left = []
    for zone in _zones(root):
        now = _number(zone / "temp")
        for kind in zone.glob("trip_point_*_type"):
            limit = _number(kind.with_name(kind.name.replace("_type", "_temp")))
            # A trip point at or below zero has been disabled by the firmware.
            if _text(kind) in ("passive", "hot") and now is not None and limit and limit > 0:
                left.append((limit - now) / 1000)
    return min(left, default=None)


def throttle_events(root: Path = SYSTEM) -> int:
    """Return the number of over-current throttling events of a Jetson since boot."""
    counts = root.glob("sys/devices/platform/*oc-event*/hwmon/hwmon*/oc*_event_cnt")
    return sum(int(_number(path) or 0) for path in counts)


def clocks_mhz(root: Path = SYSTEM) -> list[float]:
    """Return the current clock of every CPU, if known."""
    paths = sorted(root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq"))
    return [value / 1000 for path in paths if (value := _number(path)) is not None]


def power_mode(root: Path = SYSTEM) -> str | None:
    """Return a Jetson's power mode, else the frequency governor; ``None`` without either."""
    mode = _text(root / "var/lib/nvpmodel/status")
    return mode or _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


class EnergyMeter:
    """Energy of the board since creation, from a Jetson's INA3221 rails or x86's RAPL.

    Rails report power, which is integrated over the calls of `sample` (trapezoidal rule); RAPL has
    energy counters, which overflow. Call `sample` a few times a second.
    """

    def __init__(self, root: Path = SYSTEM) -> None:
        self._rails = _rails(root)
        self._counters = {
            path: before
            for path in root.glob("sys/class/powercap/intel-rapl:?/energy_uj")
            if (before := _number(path)) is not None
        }
        self._joules = 0.0
        self._before: tuple[float, float] | None = None
        self.sample()

    @property
    def source(self) -> str | None:
        """``ina``, ``rapl``, or ``None`` if the board has no energy sensor."""
        return "ina" if self._rails else "rapl" if self._counters else None

    @property
    def joules(self) -> float | None:
        """Energy up to the last sample."""
        return self._joules if self.source else None

    def sample(self) -> None:
        """Update the energy."""
        if self._rails:
            now = time.monotonic()
            watts = sum((_number(v) or 0) * (_number(a) or 0) for v, a in self._rails) / 1e6
            if self._before is not None:
                then, before = self._before
                self._joules += (now - then) * (before + watts) / 2
            self._before = now, watts
            return
        for path, before in self._counters.items():
            value = _number(path)
            if value is None:
                continue
            gone = value - before
            if gone < 0:
                gone += _number(path.with_name("max_energy_range_uj")) or 0
            self._joules += max(0.0, gone) / 1e6
            self._counters[path] = value


def _rails(root: Path) -> list[tuple[Path, Path]]:
    """Return the files of voltage (mV) and current (mA) of the board's input, else of all rails."""
    rails: dict[str, tuple[Path, Path]] = {}
    for chip in root.glob("sys/class/hwmon/hwmon*"):
        if _text(chip / "name") != "ina3221":
            continue
        for channel in (1, 2, 3):
            name = _text(chip / f"in{channel}_label")
            voltage, current = chip / f"in{channel}_input", chip / f"curr{channel}_input"
            if name and voltage.is_file() and current.is_file():
                rails[name] = voltage, current
    return [rails["VDD_IN"]] if "VDD_IN" in rails else list(rails.values())


def _zones(root: Path) -> list[Path]:
    return sorted(root.glob("sys/class/thermal/thermal_zone*"))


def _text(path: Path) -> str | None:
    """Return the content of a kernel file; ``None`` if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
