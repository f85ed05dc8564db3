"""Settings: defaults < configuration file < environment (``MERA_EDGE_*``) < flags."""

from mera_edge.config.load import load
from mera_edge.config.settings import (
    RECOGNITION,
    TABLES,
    RecognitionSettings,
    RoomSettings,
    Settings,
)
from mera_edge.config.sink import SinkSettings

__all__ = [
    "RECOGNITION",
    "TABLES",
    "RecognitionSettings",
    "RoomSettings",
    "Settings",
    "SinkSettings",
    "load",
]
