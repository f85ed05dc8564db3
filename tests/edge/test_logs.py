"""Log records: what a terminal, the journal and a file get of them."""

from __future__ import annotations

import io
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mera_edge.cli.console import Notices
from mera_edge.cli.logs import StderrHandler
from mera_edge.config import load
from mera_edge.errors import ConfigError

RECORD = logging.LogRecord(
    "mera_edge.x", logging.WARNING, "", 0, "%s is lost\nfor now", ("rtsp://me:pw@hall/1",), None
)


def logged(terminal: bool) -> str:
    out = io.StringIO()
    notices = Notices(Console(file=out, force_terminal=terminal, color_system=None, width=200))
    StderrHandler(notices).emit(RECORD)
    notices.close()
    return out.getvalue()


def test_terminal_gets_the_message_alone() -> None:
    assert logged(terminal=True) == "rtsp://hall/… is lost\nfor now\n"


def test_file_gets_time_and_level() -> None:
    time, _, rest = logged(terminal=False).partition(" ")
    assert time.endswith("Z") and "T" in time
    assert rest == "warning rtsp://hall/… is lost\nfor now\n"


@pytest.mark.parametrize("is_ours", [True, False])
def test_journal_gets_a_priority_before_every_line(tmp_path: Path, is_ours: bool) -> None:
    """systemd names the file that stderr is connected to: a pipe to somebody else is another."""
    code = (
        "import logging; from mera_edge.cli.console import Notices, stderr;"
        "from mera_edge.cli.logs import StderrHandler;"
        "notices = Notices(stderr()); log = logging.getLogger('mera_edge');"
        "log.addHandler(StderrHandler(notices)); log.warning('one\\ntwo'); notices.close()"
    )
    with (tmp_path / "journal").open("w+") as journal:
        status = os.fstat(journal.fileno())
        stream = f"{status.st_dev}:{status.st_ino + (not is_ours)}"
        environment = {**os.environ, "JOURNAL_STREAM": stream}
        subprocess.run([sys.executable, "-c", code], stderr=journal, env=environment, check=True)
        journal.seek(0)
        lines = journal.read().splitlines()
    assert (lines == ["<4>one", "<4>two"]) == is_ours


def test_log_level_is_a_setting() -> None:
    assert load(None, {"log_level": "debug"}, {}).log_level == "debug"
    assert load(None, {}, {"MERA_EDGE_LOG_LEVEL": "error"}).log_level == "error"
    with pytest.raises(ConfigError, match="log_level"):
        load(None, {"log_level": "loud"}, {})
