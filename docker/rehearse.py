"""Goes through the steps of a Dockerfile without Docker, in roots of debootstrap.

    sudo python3 docker/rehearse.py docker/Dockerfile DIR [ARCHITECTURE]

Every stage becomes a root in DIR; ``FROM`` takes Debian 12, Ubuntu 22.04 or 24.04 from their
archives, once for all that begin with it. For JetPack the Ubuntu under it stands in, without
NVIDIA's packages. ``RUN`` runs in a chroot. Then, as the image's user, in a root that is mounted
read-only with an empty /tmp and without a network: ``CMD``, the demo, and ``HEALTHCHECK`` beside a
run of the sample. The last line of output is the row for docker/README.md. Needs debootstrap; for
arm64 QEMU 8.1 or newer, and then ``QEMU_CPU=cortex-a76``.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path

CONTEXT = Path(__file__).parents[1]
TRUSTED = "/etc/ssl/rehearsal.crt"
DEBIAN, UBUNTU = "http://deb.debian.org/debian", "http://archive.ubuntu.com/ubuntu"
SUITES = {
    "debian:12": ("bookworm", DEBIAN),
    "ubuntu:22.04": ("jammy", UBUNTU),
    "ubuntu:24.04": ("noble", UBUNTU),
    "nvcr.io/nvidia/l4t-jetpack:r36": ("jammy", UBUNTU),
    "nvcr.io/nvidia/l4t-jetpack:r39": ("noble", UBUNTU),
}


@dataclass
class Stage:
    """One ``FROM``, and what has been set since."""

    root: Path
    environment: dict[str, str] = field(
        default_factory=lambda: {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        }
    )
    directory: str = "/"
    user: str = "0"
    entry: list[str] = field(default_factory=list)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    steps: int = 0

    def set(self, pairs: str) -> None:
        """Take what ``ENV`` says, with the variables that it refers to."""
        for pair in shlex.split(pairs):
            key, _, value = pair.partition("=")
            known = dict(self.environment)
            self.environment[key] = re.sub(r"\$(\w+)", lambda m: known.get(m[1], ""), value)  # noqa: B023

    def note(self, name: str, rest: str) -> None:
        """Take an instruction that only says how the image is run."""
        if name == "ENV":
            self.set(rest)
        elif name == "WORKDIR":
            self.directory = rest
            (self.root / rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        elif name == "USER":
            self.user = rest
        elif name == "ENTRYPOINT":
            self.entry = json.loads(rest)
        elif name == "CMD":
            self.command = json.loads(rest)
        elif name == "HEALTHCHECK":
            self.health = json.loads(rest.partition(" CMD ")[2])
        elif name not in ("EXPOSE", "VOLUME"):
            sys.exit(f"{name} is not known here")

    def run(self, command: list[str], *, user: str = "0") -> None:
        """Run a command in the stage's root; its failure ends the rehearsal."""
        inside = f"cd {shlex.quote(self.directory)} && exec {shlex.join(command)}"
        settings = [f"{name}={value}" for name, value in self.environment.items()]
        subprocess.run(
            ["chroot", f"--userspec={user}:{user}", str(self.root),
             "/usr/bin/env", "-i", *settings, *passed_on(), "/bin/sh", "-c", inside],
            check=True,
        )  # fmt: skip


def passed_on() -> list[str]:
    """Return what the machine needs to reach a package index, and to be emulated."""
    kept = {k: v for k, v in os.environ.items() if re.match(r"https?_proxy$|QEMU_", k, re.I)}
    return [f"{name}={value}" for name, value in {**kept, "PIP_CERT": TRUSTED}.items()]


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile: continued lines joined, no comments, no ``ARG``."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    for key, value in re.findall(r"^ARG (\w+)=(\S+)$", joined, re.MULTILINE):
        joined = joined.replace(f"ARG {key}={value}\n", "").replace(f"${{{key}}}", value)
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def base(image: str, root: Path, architecture: str) -> None:
    """Make a root of what an image begins with."""
    found = next(
        (s for name, s in SUITES.items() if re.match(rf"{name}[.\-]|{name}$", image)), None
    )
    if found is None:
        sys.exit(f"{image} is nobody's archive: it cannot be rehearsed")
    suite, mirror = found
    bare = root.parent / f"{suite}-{architecture}"
    if not (bare / "etc/apt/apt.conf.d/docker-clean").exists():
        bootstrap(suite, mirror, bare, architecture)
    if "nvidia" in image:
        print(f"{suite} stands in for {image}, without NVIDIA's packages")
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "--archive", str(bare), str(root)], check=True)


def bootstrap(suite: str, mirror: str, root: Path, architecture: str) -> None:
    """Make a root that is as small as the makers' images are."""
    shutil.rmtree(root, ignore_errors=True)
    # An older debootstrap does not know the newest Ubuntu, whose steps are those of the one before.
    scripts = Path("/usr/share/debootstrap/scripts")
    script = scripts / (suite if (scripts / suite).exists() else "jammy")
    components = "main,universe" if mirror == UBUNTU else "main"
    how = [f"--arch={architecture}", "--variant=minbase", f"--components={components}"]
    subprocess.run(
        ["debootstrap", *how, suite, str(root), mirror, str(script)], check=True, stdout=sys.stderr
    )
    shutil.copy("/etc/resolv.conf", root / "etc/resolv.conf")
    # As in the makers' images, packages are not kept once they are installed.
    archives = root / "var/cache/apt/archives"
    for package in archives.glob("*.deb"):
        package.unlink()
    # It trusts whom this machine trusts: a proxy may stand between it and the archives.
    # Not in the place of the image's own certificates, which a package may write anew.
    (root / TRUSTED.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy("/etc/ssl/certs/ca-certificates.crt", root / TRUSTED.lstrip("/"))
    clean = 'DPkg::Post-Invoke {"rm -f /var/cache/apt/archives/*.deb";};'
    clean += '\nDir::Cache::pkgcache ""; Dir::Cache::srcpkgcache "";'
    (root / "etc/apt/apt.conf.d/docker-clean").write_text(clean + "\n")


def copy(words: list[str], stage: Stage, stages: dict[str, Stage]) -> None:
    origin = CONTEXT
    if words[0].startswith("--from="):
        origin = stages[words.pop(0).removeprefix("--from=")].root
    *sources, target = words
    place = stage.root / target.lstrip("/")
    for source in sources:
        path = origin / source.lstrip("/")
        if path.is_dir():
            shutil.copytree(path, place, symlinks=True, dirs_exist_ok=True)
        else:
            into = place / path.name if target.endswith("/") else place
            into.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, into)


def rehearse(dockerfile: Path, directory: Path, architecture: str) -> Stage:
    """Go through all instructions and return the last stage."""
    stages: dict[str, Stage] = {}
    stage: Stage | None = None
    for name, rest in instructions(dockerfile.read_text(encoding="utf-8")):
        print(f"{name} {rest[:110]}", flush=True)
        if name == "FROM":
            image, _, alias = rest.partition(" AS ")
            stage = Stage(directory / (alias or f"stage{len(stages)}"))
            stages[alias or str(len(stages))] = stage
            base(image, stage.root, architecture)
            continue
        if stage is None:
            sys.exit(f"{name} before FROM")
        if name == "RUN":
            stage.run(["/bin/sh", "-e", "-c", rest], user=stage.user)
        elif name == "COPY":
            copy(shlex.split(rest), stage, stages)
        else:
            stage.note(name, rest)
    if stage is None:
        sys.exit(f"{dockerfile} has no stage")
    stage.steps = len(instructions(dockerfile.read_text(encoding="utf-8")))
    return stage


def try_out(stage: Stage) -> list[str]:
    """Run what the image runs, as its user, read-only and offline; return what was run."""
    root, entry = str(stage.root), shlex.join(stage.entry)
    tried = {"CMD": f"{entry} {shlex.join(stage.command)}", "demo": f"{entry} demo"}
    if stage.health:
        tried["HEALTHCHECK"] = (
            "clip=$(python3 -c 'from mera_edge.sample import CLIP; print(CLIP)') && "
            f"{{ {entry} run --camera $clip --mic none --sink http://127.0.0.1:8765 & }} && "
            f"for try in $(seq 60); do sleep 1; {shlex.join(stage.health)} 2> /tmp/why && "
            "kill $! && exit 0; done; cat /tmp/why; exit 1"
        )
    settings = shlex.join(f"{k}={v}" for k, v in stage.environment.items())
    chroot = (
        f"chroot --userspec={stage.user}:{stage.user} {root} "
        f"/usr/bin/env -i HOME=/tmp {settings} {shlex.join(passed_on())} /bin/sh -ec "
    )
    inner = (
        f"mount --make-rprivate / && mount --bind {root} {root} && "
        f"mount -o remount,bind,ro {root} && mount -t tmpfs tmpfs {root}/tmp && "
        f"mount -t proc proc {root}/proc && mount --bind /dev {root}/dev && ip link set lo up"
    )
    for what, command in tried.items():
        print(f"{what}: {command}", flush=True)
        inside = f"{inner} && exec {chroot} {shlex.quote(command)}"
        subprocess.run(["unshare", "--mount", "--net", "/bin/sh", "-ec", inside], check=True)
    return list(tried)


def row(dockerfile: Path, architecture: str, stage: Stage, tried: list[str]) -> str:
    """Return the row of docker/README.md."""
    du = ["du", "-sm", str(stage.root)]
    used = subprocess.run(du, capture_output=True, text=True, check=True).stdout.split()[0]
    day = datetime.now(timezone.utc).date().isoformat()
    ran = f"{stage.steps} of {stage.steps}; {', '.join(tried)}"
    return f"| `{dockerfile.name}`, {architecture} | {ran} | {used} MB | {day} |"


if __name__ == "__main__":
    if len(sys.argv) not in (3, 4):
        sys.exit(__doc__)
    kind = sys.argv[3] if len(sys.argv) == 4 else "amd64"
    last = rehearse(Path(sys.argv[1]), Path(sys.argv[2]).resolve(), kind)
    print(row(Path(sys.argv[1]), kind, last, try_out(last)))
