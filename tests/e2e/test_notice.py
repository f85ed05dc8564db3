"""What people in the room are told, and what the person who starts it confirms."""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import sys
import time
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mera_edge.cli.acknowledge import acknowledge
from mera_edge.config import load
from mera_edge.notice.sheet import texts
from mera_edge.sample import CLIP

MAIN = "from mera_edge.cli import main; main()"
WHO = ("--purpose", "Light <b>follows</b> the mood", "--contact", "Anna, 123")


class Sheets(HTMLParser):
    """Collects the text and the codes of every language."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: dict[str, str] = {}
        self.codes = 0
        self._language = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list) -> None:
        found = dict(attributes)
        if found.get("class") == "sheet":
            self._language = found["lang"]
        self.codes += tag == "svg"

    def handle_data(self, data: str) -> None:
        self.text[self._language] = self.text.get(self._language, "") + data


def test_the_notice_says_what_runs_why_and_whom_to_ask(cli: Callable, tmp_path: Path) -> None:
    config, page = tmp_path / "config.toml", tmp_path / "out" / "notice.html"
    config.write_text(
        '[privacy]\nmodalities = ["text"]\ntranscript = "final"\n'
        '[[room]]\nname = "Hall & co"\ncamera = "0"\nmic = "default"\n'
    )
    result = cli("notice", page, *WHO, "--config", config)
    assert result.code == 0
    text = page.read_text(encoding="utf-8")
    sheets = Sheets(text)
    assert {"en", "de", "zh", "es", "fr"} <= sheets.text.keys()
    assert sheets.codes == len(texts())
    for language, say in texts().items():
        found = sheets.text[language]
        assert "Hall & co" in found and "Light <b>follows</b> the mood" in found
        assert "Anna, 123" in found and "50" in found
        assert say["text"] in found
        assert say["face"] not in found and say["voice"] not in found
    assert not re.search(r'(href|src)="?http', text.replace("http://www.w3.org", ""))


def test_every_language_has_all_texts() -> None:
    english = texts()["en"]
    for say in texts().values():
        assert say.keys() == english.keys() and all(say.values())
        assert "{place}" in say["lead"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ((*WHO, "--language", "xx"), "languages: en, de"),
        (("--purpose", " ", "--contact", "me"), "empty"),
        (("--purpose", "x" * 4000, "--contact", "me"), "too long for a QR code"),
    ],
)
def test_invalid_notice_arguments_are_refused_and_write_nothing(
    cli: Callable, tmp_path: Path, more: tuple, words: str
) -> None:
    result = cli("notice", tmp_path / "notice.html", *more)
    assert result.code == 2
    assert words in result.err
    assert not list(tmp_path.iterdir())


def started(home: Path, answer: str | None, camera: str) -> tuple[str, int | None]:
    """Run in a terminal and type an answer; return the output and the exit code."""
    master, terminal = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", "--camera", camera, "--mic", "none", "--sink", "-"],
        stdin=terminal,
        stderr=terminal,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "HOME": str(home), "XDG_STATE_HOME": str(home / "state")},
    )
    os.close(terminal)
    said, deadline = "", time.monotonic() + 60
    while time.monotonic() < deadline and "ready after" not in said:
        if select.select([master], [], [], 0.1)[0]:
            try:
                said += os.read(master, 4096).decode()
            except OSError:
                break
        if answer is not None and "Type yes" in said:
            os.write(master, f"{answer}\n".encode())
            answer = None
    if "ready after" in said:
        process.terminate()
    code = process.wait(60)
    os.close(master)
    return said, code


def test_legal_notice_must_be_confirmed_only_once(tmp_path: Path) -> None:
    camera = "http://127.0.0.1:9/video"
    said, code = started(tmp_path, "no", camera)
    assert code == 2
    assert "Article 5(1)(f)" in said and "Article 50(3)" in said
    said, code = started(tmp_path, "yes", camera)
    assert (code, "ready after" in said) == (0, True)
    said, code = started(tmp_path, None, camera)
    assert (code, "Article" in said) == (0, False)
    assert [path.name for path in (tmp_path / "state").rglob("*")] == ["mera-edge", "acknowledged"]


def test_a_service_without_a_terminal_logs_the_warning_and_runs(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", MAIN, "run", "--camera", "http://127.0.0.1:9/a", "--mic", "none"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path / "state")},
    )
    said = ""
    while "ready after" not in said:
        line = process.stderr.readline()
        assert line, said
        said += line
    process.terminate()
    assert process.wait(60) == 0
    process.stderr.close()
    assert "not yet acknowledged" in said
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("how", "warned"),
    [
        ({"camera": "0", "mic": "none"}, True),
        ({"camera": "0", "mic": "none", "privacy": {"acknowledged": True}}, False),
        ({"camera": str(CLIP), "mic": "none"}, False),
    ],
)
def test_legal_warning_is_logged_only_where_it_applies(
    how: dict, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    acknowledge(load(None, how, {}))
    assert ("Articles 5 and 50" in caplog.text) == warned
