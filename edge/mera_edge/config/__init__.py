"""Settings: defaults < configuration file < environment (``MERA_EDGE_*``) < flags."""

from mera_edge.config.load import load
from mera_edge.config.privacy import PRIVACY, PrivacySettings, Words
from mera_edge.config.settings import (
    RECOGNITION,
    TABLES,
    RecognitionSettings,
    RoomSettings,
    Settings,
)
from mera_edge.config.sink import STDOUT, SinkSettings
from mera_edge.config.wyoming import WyomingSettings

__all__ = [
    "PRIVACY",
    "RECOGNITION",
    "STDOUT",
    "TABLES",
    "PrivacySettings",
    "RecognitionSettings",
    "RoomSettings",
    "Settings",
    "SinkSettings",
    "Words",
    "WyomingSettings",
    "load",
]
