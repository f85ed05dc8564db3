"""Log records on stderr: for a terminal, for systemd's journal, or for a file."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Final

from mera_edge.cli.console import Notices
from mera_edge.redaction import redacted_text

_PRIORITIES: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""Syslog priority by level."""


class StderrHandler(logging.Handler):
    """Writes the log records of `mera_edge` without blocking.

    A terminal gets the message alone, the journal a priority prefix on every line (``<4>``), and
    anything else time and level. Secrets in addresses are redacted.

    Args:
        notices: writes lines on stderr.
    """

    def __init__(self, notices: Notices) -> None:
        super().__init__()
        self._notices = notices
        self._journal = _is_journal()

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record."""
        text = redacted_text(self.format(record))
        if self._journal:
            priority = _PRIORITIES.get(record.levelno, 6)
            text = "\n".join(f"<{priority}>{line}" for line in text.splitlines())
        elif not self._notices.console.is_terminal:
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created))
            text = f"{at} {record.levelname.lower()} {text}"
        self._notices.say(text)


def _is_journal() -> bool:
    """Whether stderr is connected to the journal, by ``$JOURNAL_STREAM``."""
    try:
        status = os.fstat(sys.stderr.fileno())
    except (AttributeError, OSError):  # stderr is closed, or replaced by a test
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"
