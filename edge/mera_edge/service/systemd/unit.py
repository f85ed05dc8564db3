"""The unit of the service: what it may do is what it needs."""

from __future__ import annotations

import grp
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mera_edge.config import Settings

RUN, WYOMING = "mera-edge.service", "mera-edge-wyoming.service"
"""Names of the units: rooms, and speech to text for Assist."""
STATE, CACHE = "/var/lib/mera-edge", "/var/cache/mera-edge"
_RELOADS_BY_NOTIFY = 253
"""The systemd that knows ``Type=notify-reload``."""

_GROUPS = ("video", "audio", "render")
_GPUS = (
    "char-drm",
    # NVIDIA's GPUs, and those of Jetsons.
    *("char-nvidia*", "char-nvhost*", "char-nvgpu*", "char-nvmap", "/dev/nvmap", "/dev/nvidiactl"),
)
_CAMERAS_AND_SOUND = (
    *("char-video4linux", "char-media", "char-alsa"),
    # Raspberry Pi: its video core, and the memory that its cameras share.
    *("char-vchiq", "/dev/vchiq", "/dev/vcio", "char-dma_heap"),
)


def groups() -> list[str]:
    """Return those of the devices' groups that this machine has."""
    known = {group.gr_name for group in grp.getgrall()}
    return [name for name in _GROUPS if name in known]


def program() -> str:
    """Return the command line with which this installation is started."""
    script = Path(sys.executable).parent / "mera-edge"
    return str(script) if script.is_file() else f"{sys.executable} -m mera_edge"


def credentials(settings: Settings) -> list[str]:
    """Return the names of secrets that a configuration takes from credentials."""
    return sorted(file for file in secret_files(settings) if "/" not in file)


def secret_files(settings: Settings) -> set[str]:
    """Return the files of passwords and tokens that a configuration names."""
    files = [room.password_file for room in settings.rooms]
    files += [file for sink in settings.sink for file in (sink.password_file, sink.token_file)]
    return {file for file in files if file}


@dataclass(frozen=True)
class Unit:
    """A unit file.

    Attributes:
        command: what starts the program.
        config: the configuration.
        systemd: version of systemd.
        credentials: names of passwords that lie beside the configuration.
        groups: to which cameras, sound and GPUs belong. systemd starts no service with one that
            the machine does not have.
        user: whether it is a unit of the logged-in user, whose sound server it may use.
        name: `RUN` or `WYOMING`, which hears no microphone and sees no camera.
        announces: whether it is found by multicast DNS.
    """

    command: str
    config: Path
    systemd: int
    credentials: Sequence[str] = ()
    groups: Sequence[str] = _GROUPS
    user: bool = False
    name: str = RUN
    announces: bool = False

    def text(self) -> str:
        """Return the file."""
        run = self.name == RUN
        reload = run and self.systemd >= _RELOADS_BY_NOTIFY
        service = [
            f"Type={'notify-reload' if reload else 'notify'}",
            "NotifyAccess=main",
            f"ExecStart={self.command} {'run' if run else 'wyoming'} --config {self.config}",
            *([] if reload or not run else ["ExecReload=/bin/sh -c 'kill -HUP $MAINPID'"]),
            "# Events go where the configuration says; notices, without a word, to the journal.",
            "StandardOutput=null",
            "StandardError=journal",
            "WatchdogSec=60",
            "TimeoutStartSec=180",
            "TimeoutStopSec=15",
            "KillMode=mixed",
            "Restart=on-failure",
            "RestartSec=5",
            "OOMPolicy=stop",
            "MemoryMax=1536M",
            "TasksMax=256",
            "UMask=0077",
            "NoNewPrivileges=yes",
        ]
        if self.user:
            target = "default.target"
        else:
            target = "multi-user.target"
            service += [*self._places(), *_SANDBOX, *self._reach()]
        return "\n".join(
            [
                "# Written by `mera-edge service install`. "
                f"Changes: `systemctl edit {self.name.removesuffix('.service')}`.",
                "[Unit]",
                f"Description={_DESCRIPTIONS[self.name]}",
                *([] if self.user else ["Wants=network-online.target"]),
                *([] if self.user else ["After=network-online.target sound.target"]),
                "StartLimitIntervalSec=600",
                "StartLimitBurst=10",
                "",
                "[Service]",
                *service,
                "",
                "[Install]",
                f"WantedBy={target}",
                "",
            ]
        )

    def _places(self) -> list[str]:
        folder = self.config.parent
        groups = [name for name in self.groups if self.name == RUN or name != "audio"]
        return [
            *(f"LoadCredential={name}:{folder / name}" for name in self.credentials),
            # Both units have the same, and so the same pulled models.
            *("DynamicUser=yes", "User=mera-edge"),
            *([f"SupplementaryGroups={' '.join(groups)}"] if groups else []),
            "StateDirectory=mera-edge",
            "CacheDirectory=mera-edge",
            f"RuntimeDirectory={self.name.removesuffix('.service')}",
            "ConfigurationDirectory=mera-edge",
            f"WorkingDirectory={STATE}",
            # A user of the moment has a home only where libnss-systemd is installed.
            f"Environment=HOME={STATE} XDG_DATA_HOME=/var/lib XDG_CACHE_HOME=/var/cache",
        ]

    def _reach(self) -> list[str]:
        """Return which machines and devices it reaches."""
        devices = (*_GPUS, *(_CAMERAS_AND_SOUND if self.name == RUN else ()))
        return [
            "# The house's machines, and nothing beyond them. More: `systemctl edit`.",
            "IPAddressDeny=any",
            "IPAddressAllow=localhost link-local 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 fc00::/7"
            + (" multicast" if self.announces else ""),
            "DevicePolicy=closed",
            *(f"DeviceAllow={device} rw" for device in devices),
        ]


_DESCRIPTIONS = {
    RUN: "Emotion recognition from voice, words and face, on this device",
    WYOMING: "Speech to text with its emotion, for Home Assistant's Assist",
}

_SANDBOX = (
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateMounts=yes",
    "PrivateUsers=yes",
    # Not ProcSubset=pid: on Arm, ONNX Runtime finds the processor's instructions in /proc/cpuinfo.
    # Not MemoryDenyWriteExecute=: CUDA compiles.
    "ProtectProc=invisible",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "RemoveIPC=yes",
    "KeyringMode=private",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @resources @clock @debug @module @mount @raw-io @reboot @swap "
    "@cpu-emulation @obsolete",
    "SystemCallErrorNumber=EPERM",
    "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
)
