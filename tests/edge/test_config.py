"""Settings come from four places, the later winning; a typing error is named."""

from pathlib import Path

import fuzz_settings
import pytest

from mera_edge.config import Settings, load
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


def test_any_key_can_be_set_by_a_flag(file: Path) -> None:
    said = ["budget_ms=50", "recognition.final=off", "sink=-,events.jsonl", 'mic="a=b"']
    settings = load(file, {"recognition": {"model": "sherpa:here"}}, {}, said)
    assert (settings.budget_ms, settings.mic) == (50, ("a=b",))
    assert (settings.recognition.final, settings.recognition.model) == ("off", "sherpa:here")
    assert [sink.to for sink in settings.sink] == ["-", "events.jsonl"]


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ("budget_ms", "--set budget_ms has no value: write --set KEY=VALUE"),
        ("budget=9", "--set budget: unknown key 'budget': did you mean 'budget_ms'"),
        ("recognition.models=x", "--set recognition.models: unknown key .*did you mean 'model'"),
        ("budget_ms=1", "--set budget_ms: budget_ms = 1"),
        ("recognition.final.x=1", "unknown key recognition.final.x"),
    ],
)
def test_a_flag_that_sets_nothing_is_named(said: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(None, {}, {}, [said])


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
def test_invalid_settings_are_reported_with_their_location(
    tmp_path: Path, text: str, environment: dict[str, str], message: str
) -> None:
    path = tmp_path / "config.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(path, environment=environment)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml does not exist"):
        load(tmp_path / "absent.toml", environment={})


def test_every_camera_is_a_room() -> None:
    settings = load(None, {"camera": ["0", "rtsp://host/a"], "mic": ["default"]}, {})
    assert [(room.name, room.camera, room.mic) for room in settings.rooms] == [
        ("room 1", "0", "default"),
        ("room 2", "rtsp://host/a", "default"),
    ]
    assert settings.room_budget_ms == 100
    assert Settings(camera=("0",) * 4).room_budget_ms == 50
    (room,) = load(None, {}, {}).rooms
    assert (room.name, room.camera, room.mic) == (None, "0", "default")


def test_rooms_may_have_names(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('[[room]]\nname = "hall"\ncamera = "1"\n[[room]]\nname = "den"\nmic = "2"\n')
    assert [(room.name, room.camera, room.mic) for room in load(file, {}, {}).rooms] == [
        ("hall", "1", "none"),
        ("den", "none", "2"),
    ]
    (room,) = load(file, {"camera": ["0"]}, {}).rooms
    assert (room.name, room.camera) == (None, "0")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[room]]\ncamera = '1'\n", "every room needs a unique name"),
        ("[[room]]\nname = 'a'\n[[room]]\nname = 'a'\n", "every room needs a unique name"),
        ("camera = '1'\n[[room]]\nname = 'a'\n", "give either rooms, or camera and mic"),
        ("camera = ['0', '1', '2']\nmic = ['0', '1']\n", "3 cameras need one mic"),
        ("[[room]]\nname = 'a'\n[[room]]\nname = 'A'\n", "every room needs a unique name"),
        ("[room]\nname = 'a'\n", r"config.toml: room: write \[\[room\]\]"),
        ("camera = [0, 1]\npassword_file = ['a', 'b', 'c']\n", "2 cameras need one password_file"),
        ("[[room]]\nnamme = 'a'\n", r"config.toml: unknown key room\[0\].namme: .* 'name'"),
        ("camera = []\n", "config.toml: camera: .*at least 1"),
    ],
)
def test_rooms_that_make_no_sense_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(file, {}, {})


@pytest.mark.parametrize("camera", ["0", '"0"', "[0]", '["0"]', '" 0 "'])
def test_the_index_of_a_camera_may_be_a_number(tmp_path: Path, camera: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(f"camera = {camera}\n", encoding="utf-8-sig")  # Windows marks the byte order
    assert load(file, {}, {}).camera == ("0",)


def test_lists_in_the_environment_have_commas() -> None:
    pipeline = "v4l2src ! video/x-raw,width=640 ! appsink"
    for name in ("camera", "mic"):
        settings = load(None, {}, {"MERA_EDGE_CAMERA": "0,1", f"MERA_EDGE_{name.upper()}": "0, 1"})
        assert getattr(settings, name) == ("0", "1")
    assert load(None, {}, {"MERA_EDGE_CAMERA": pipeline}).camera == (pipeline,)
    sinks = load(None, {}, {"MERA_EDGE_SINK": "-, a.jsonl"}).sink
    assert [sink.to for sink in sinks] == ["-", "a.jsonl"]
    settings = load(None, {}, {"MERA_EDGE_PROVIDERS": "face=cpu, voice = cpu"})
    assert settings.providers == {"face": "cpu", "voice": "cpu"}


@pytest.mark.parametrize(
    ("text", "flags", "environment", "message"),
    [
        ("camera = '-1'", {}, {}, r"config.toml: camera\[0\] = '-1': an index must be 0 or more"),
        ("camera = true", {}, {}, r"config.toml: camera\[0\] = True: write an index"),
        ("camera = ''", {}, {}, r"config.toml: camera\[0\] = '': it is empty"),
        ("[recognition]\nserach = 'beam'", {}, {}, "unknown key recognition.serach: .*'search'"),
        (
            "[recognition]\nbeam = 0",
            {"recognition": {"model": "sherpa:x"}},
            {},
            "config.toml: recognition.beam = 0",
        ),
        ("", {"recognition": {"model": 3}}, {}, "^--asr: recognition.model = 3"),
        ("", {"providers": {"face": ""}}, {}, "^--provider: providers.face = ''"),
        ("", {"providers": {"fcae": "cpu"}}, {}, "^--provider: providers.fcae"),
        ("", {}, {"MERA_EDGE_PROVIDERS": "face"}, "^MERA_EDGE_PROVIDERS: .*ROLE=VALUE"),
        ("", {"mic": ["0", "1", "2"], "camera": ["0", "1"]}, {}, "^--camera and --mic: 2 cameras"),
    ],
)
def test_an_error_names_the_source_of_the_invalid_setting(
    tmp_path: Path, text: str, flags: dict, environment: dict, message: str
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(file, flags, environment)


@pytest.mark.parametrize(
    ("address", "whole"),
    [
        ("rtsp://cam@host/1", "rtsp://cam:p%40s%2Fs@host/1"),
        ("http://host/1?pwd={password}&user=cam", "http://host/1?pwd=p%40s%2Fs&user=cam"),
        (
            "rtspsrc location=rtsp://host user-pw={password} ! appsink",
            "rtspsrc location=rtsp://host user-pw=p%40s%2Fs ! appsink",
        ),
    ],
)
def test_a_password_comes_from_a_file(tmp_path: Path, address: str, whole: str) -> None:
    (tmp_path / "secret").write_text("p@s/s\n")
    settings = load(
        None, {}, {"MERA_EDGE_CAMERA": address, "MERA_EDGE_PASSWORD_FILE": f"{tmp_path}/secret"}
    )
    assert settings.rooms[0].addresses() == (whole, "default")


@pytest.mark.parametrize(
    ("address", "content", "message"),
    [
        ("rtsp://cam@host/1", None, "secret cannot be read"),
        ("rtsp://cam@host/1", "\n", "secret is empty"),
        ("rtsp://host/1", "s3cret", "neither camera nor mic has a place for a password"),
        ("rtsp://cam:other@host/1", "s3cret", "neither camera nor mic has a place for a password"),
    ],
)
def test_a_password_that_cannot_be_used_is_an_error(
    tmp_path: Path, address: str, content: str | None, message: str
) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_text(content)
    (room,) = load(None, {"camera": [address], "password_file": [str(secret)]}, {}).rooms
    with pytest.raises(ConfigError, match=message):
        room.addresses()


@pytest.mark.parametrize("seed", range(8))
def test_settings_work_or_are_refused_and_show_no_secret(tmp_path: Path, seed: int) -> None:
    for number in range(25 * seed, 25 * seed + 25):
        outcome, message = fuzz_settings.case(number, tmp_path)
        assert outcome in fuzz_settings.GOOD, message


def test_a_sink_is_a_text_a_url_with_options_or_a_table(tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    file.write_text('sink = ["-", {to = "a?b.jsonl", on = "change", every_s = 2}]')
    stdout, changes = load(file, {}, {}).sink
    assert (stdout.to, stdout.on, stdout.scheme) == ("-", "event", None)
    assert (changes.to, changes.on, changes.every_s) == ("a?b.jsonl", "change", 2)
    (broker,) = load(file, {"sink": ["MQTT://me@host/a?transcript=final&node=attic"]}, {}).sink
    assert (broker.to, broker.transcript, broker.node) == ("MQTT://me@host/a", "final", "attic")
    assert broker.scheme == "mqtt"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("sink = [{to = '-', evry_s = 1}]", r"unknown key sink\[0\].evry_s: did you mean 'every_s"),
        ("sink = 'mqtt://host?nod=a'", r"unknown key sink\[0\].nod: did you mean 'node'"),
        ("sink = 'mqtt://host?node'", "write URL options as"),
        ("sink = 'mqtt://host?node=a/b'", r"sink\[0\].node = 'a/b'"),
        ("sink = [3]", r"sink\[0\] = 3"),
        ("sink = []", "at least 1 item"),
        ("[[sink]]\non = 'change'", r"sink\[0\].to"),
    ],
)
def test_a_sink_that_cannot_be_used_is_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "config.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load(file, {}, {})
