"""Heat, contention and energy, read from a tree of files as the kernel writes them."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from mera_edge.host import load, sensors
from mera_edge.host.load import LoadMonitor
from mera_edge.host.sensors import EnergyMeter


def write(root: Path, files: dict[str, object]) -> Path:
    for name, value in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{value}\n")
    return root


ZONE = "sys/class/thermal/thermal_zone0"
HWMON = "sys/class/hwmon/hwmon3"


def test_a_machine_without_sensors_reports_no_measurements(tmp_path: Path) -> None:
    assert sensors.temperatures(tmp_path) == {}
    assert sensors.headroom(tmp_path) is None
    assert sensors.clocks_mhz(tmp_path) == []
    assert sensors.power_mode(tmp_path) is None
    meter = EnergyMeter(tmp_path)
    assert meter.source is meter.joules is None


def test_heat_is_measured_from_where_the_board_slows_down(tmp_path: Path) -> None:
    write(
        tmp_path,
        {
            f"{ZONE}/type": "cpu-thermal",
            f"{ZONE}/temp": 71500,
            f"{ZONE}/trip_point_0_type": "critical",
            f"{ZONE}/trip_point_0_temp": 104500,
            f"{ZONE}/trip_point_1_type": "passive",
            f"{ZONE}/trip_point_1_temp": 99000,
            f"{ZONE}/trip_point_2_type": "passive",
            f"{ZONE}/trip_point_2_temp": -274000,
        },
    )
    assert sensors.temperatures(tmp_path) == {"cpu-thermal": 71.5}
    assert sensors.headroom(tmp_path) == pytest.approx(27.5)


def test_thermal_hysteresis(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "EVERY_S", 0.0)
    trip = {f"{ZONE}/trip_point_0_type": "passive", f"{ZONE}/trip_point_0_temp": 99000}
    write(tmp_path, {f"{ZONE}/type": "cpu-thermal", f"{ZONE}/temp": 50000, **trip})
    monitor = LoadMonitor(tmp_path)
    seen = []
    for temperature in (90000, 98000, 94000, 91000, 94000):
        write(tmp_path, {f"{ZONE}/temp": temperature})
        seen.append(monitor().hot)
    assert seen == [False, True, True, False, False]


def test_an_over_current_event_counts_as_hot(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "EVERY_S", 0.0)
    count = "sys/devices/platform/soctherm-oc-event/hwmon/hwmon4/oc3_event_cnt"
    write(tmp_path, {count: 7})
    monitor = LoadMonitor(tmp_path)
    assert not monitor().hot
    write(tmp_path, {count: 8})
    assert monitor().hot
    assert not monitor().hot


@pytest.mark.parametrize(
    ("file", "before", "after"),
    [
        ("proc/thread-self/schedstat", "7000000 2000000 5", "507000000 1502000000 9"),
        ("proc/pressure/cpu", "some avg10=9 total=5000000\nfull total=0", "some total=6500000"),
    ],
)
def test_contention_is_the_share_of_time_that_work_waited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, before: str, after: str
) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    monitor = LoadMonitor(write(tmp_path, {file: before}))
    write(tmp_path, {file: after})
    assert monitor().contention == 0  # it has just looked
    now += 2.0
    assert monitor().contention == pytest.approx(0.75)


def test_energy_from_rapl_survives_an_overflow(tmp_path: Path) -> None:
    zone = "sys/class/powercap/intel-rapl:0"
    write(tmp_path, {f"{zone}/energy_uj": 9_000_000, f"{zone}/max_energy_range_uj": 10_000_000})
    meter = EnergyMeter(tmp_path)
    for value in (9_500_000, 1_500_000):
        write(tmp_path, {f"{zone}/energy_uj": value})
        meter.sample()
    assert meter.source == "rapl"
    assert meter.joules == pytest.approx(2.5)


def test_energy_from_rails_is_power_over_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    rail = {"in1_label": "VDD_IN", "in1_input": 5000, "curr1_input": 1000}
    part = {"in2_label": "VDD_CPU_GPU_CV", "in2_input": 5000, "curr2_input": 400}
    files = {f"{HWMON}/{name}": value for name, value in {**rail, **part}.items()}
    meter = EnergyMeter(write(tmp_path, {f"{HWMON}/name": "ina3221", **files}))
    now = 2.0
    write(tmp_path, {f"{HWMON}/curr1_input": 2000})
    meter.sample()
    assert meter.source == "ina"
    assert meter.joules == pytest.approx(2 * (5 + 10) / 2)
