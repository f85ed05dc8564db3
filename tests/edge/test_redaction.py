"""No form of an address shows what may be secret in it."""

from __future__ import annotations

import string
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mera_edge.config import load
from mera_edge.errors import ConfigError
from mera_edge.redaction import redacted, redacted_text
from mera_edge.sources.camera import Camera
from mera_edge.sources.microphone import Microphone

FORMS = [
    "{scheme}://admin:{secret}@cam.lan/1",
    "{scheme}://{secret}@cam.lan:554/1",
    "{scheme}://admin:{secret}@[fe80::1]/1",
    "{scheme}://cam.lan/1?user=admin&password={secret}",
    "{scheme}://cam.lan/1?PWD={secret}&channel=1",
    "{scheme}://cam.lan?token={secret}",
    "{scheme}://cam.lan/1;auth={secret}",
    "{scheme}://cam.lan/1#{secret}",
    "{scheme}://cam.lan/{secret}",
    "{scheme}://cam.lan/user=admin_password={secret}_channel=1.sdp",
    "{scheme}://a:{secret}@cam.lan/1?password={secret}#{secret}",
    'rtspsrc location="{scheme}://admin:{secret}@cam.lan/1" ! decodebin ! appsink',
    "rtspsrc location={scheme}://cam.lan user-id=admin user-pw={secret} ! decodebin ! appsink",
    'rtspsrc user-pw = "{secret}" location={scheme}://cam.lan ! decodebin ! appsink',
]
SCHEMES = st.sampled_from(["rtsp", "rtsps", "http", "https", "RTSP", "Https", "srt"])
PRINTABLE = "".join(sorted(set(string.printable) - set(string.whitespace)))
SECRETS = st.text(PRINTABLE, min_size=6).filter(lambda text: text.strip("/…") == text)


@given(st.sampled_from(FORMS), SCHEMES, SECRETS, st.booleans())
def test_no_secret_in_errors(form: str, scheme: str, secret: str, encode: bool) -> None:
    """Not even when it holds what URLs and pipelines are made of and is not encoded."""
    if "! " in form and not encode:
        secret = secret.replace('"', "").replace("\\", "")  # these end a quotation
    written = quote(secret, safe="") if encode else secret
    spec = form.format(scheme=scheme, secret=written)
    shown = [redacted(spec), Camera(spec).name, Microphone(spec).name]
    if "! " not in form and {"@", "?", "#"} & set(form):
        shown += [redacted_text(f"'{text}' cannot be opened") for text in (spec, str(Path(spec)))]
    for text in shown:
        left = text.replace("cam.lan", "").replace("decodebin", "").replace("appsink", "")
        assert written not in left
        assert secret not in left


@pytest.mark.parametrize(
    ("spec", "shown"),
    [
        ("rtsp://me:secret@host/1", "rtsp://host/…"),
        ("rtsp://me:secret@host:554", "rtsp://host:554"),
        ("rtsp://me:sec/ret@host/1", "rtsp://…"),
        ("rtsp://me:1234#5@host/1", "rtsp://…"),
        ("rtsp%3A%2F%2Fme:secret@host", "rtsp://…"),
        ("rtsp:/me:secret@host/1", "rtsp://host/…"),
        ("me:secret@host/1", "…@host/1"),
        ("host/1?password=secret", "host/1?…"),
        ('rtspsrc location="rtsp://me:sec ! ret@h" ! decodebin', "rtspsrc ! decodebin"),
        ("0", "0"),
        ("/dev/v4l/by-path/pci-0000:00:14.0-usb@1", "/dev/v4l/by-path/pci-0000:00:14.0-usb@1"),
        ("USB Microphone: Audio (hw:1,0)", "USB Microphone: Audio (hw:1,0)"),
        ("talk.mp4", "talk.mp4"),
    ],
)
def test_what_is_shown(spec: str, shown: str) -> None:
    assert redacted(spec) == shown


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("key", ["camera", "camara", "name", "budget_ms"])
def test_no_setting_prints_another(form: str, key: str, tmp_path: Path) -> None:
    """A room with a wrong key, a wrong type, or no name: no message has an address's secret."""
    spec = form.format(scheme="rtsp", secret="s3cret").replace('"', "'")
    room = f'[[room]]\nname = "hall"\nmic = "{spec}"\n'
    file = tmp_path / "config.toml"
    for text in (
        f'[[room]]\nmic = "{spec}"\n{key} = ["{spec}"]\n',
        f'{room}[[room]]\n{key} = "{spec}"\nmic = 1.5\n',
        f'{key} = {{ a = "{spec}" }}\n',
        f'recognition = "{spec}"\n',
        f'budget_ms = "{spec}"\n',
        f'"{spec}" = 1\n',
    ):
        file.write_text(text)
        with pytest.raises(ConfigError) as error:
            load(file, {}, {})
        assert "s3cret" not in str(error.value)
