"""From clips to features, by the pipeline of the device: what is trained on is what will run.

A clip goes through the same stages, tick by tick, as a recording given to `mera-edge predict`.
What was found out about a clip is kept in ``OUT.parts``, by the content of the clip and its words,
so that a run that was ended goes on. Labels, ratings and splits are those of the data set now.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import as_completed
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from mera_edge.bundle import Bundle
from mera_edge.bundle.load import SPOILED
from mera_edge.errors import CheckFailed
from mera_train import configuration, disk
from mera_train.features import clips, reference
from mera_train.features.clips import RATED, Clip
from mera_train.features.cluster import extracted
from mera_train.features.extractor import SEQUENCES, Extractor, Status, Words
from mera_train.features.store import Features, save, specification
from mera_train.fingerprint import MISSING, Digests, combined
from mera_train.workers import pool


class ExtractionConfig(BaseModel):
    """How features are extracted; YAML or JSON."""

    model_config = ConfigDict(extra="forbid")

    bundle: Path | None = Field(None, description="whose encoders; the default bundle if unset")
    words: Words = Field(
        "both", description="read the data set's words (gold), the recognizer's (heard), or both"
    )
    max_failed: float = Field(0.05, ge=0, le=1, description="share of clips that may fail")


class FeatureExtraction:
    """Extracts features.

    Args:
        config: its keys, or the path of its YAML or JSON file; MMSA-FET's is translated.

    Raises:
        ConfigError: the file cannot be used.
        BundleError: the bundle cannot be used.
    """

    def __init__(
        self, config: ExtractionConfig | Mapping[str, Any] | Path | str | None = None
    ) -> None:
        where = "the configuration"
        if isinstance(config, str | Path):
            where, config = str(config), configuration.load(Path(config).expanduser())
        if isinstance(config, Mapping):
            config = _configured(reference.translated(config, where), where)
        self.config = config or ExtractionConfig()
        self._bundle = Bundle.open(self.config.bundle)

    def run_single(self, clip: Path | str, text: str = "") -> dict[str, NDArray[Any]]:
        """Return the features of one clip: the arrays of `mera_train.features.store`, one row.

        Args:
            clip: a video or a recording.
            text: its words, if they are known.

        Raises:
            InputError: it cannot be decoded, or has neither sound nor picture.
        """
        path = Path(clip)
        named = Clip(path.name, path, "test", text)
        row, _ = self._extractor.extract(named)
        return {name: np.asarray(value)[None] for name, value in (_labels(named) | row).items()}

    def run_dataset(
        self,
        dataset_dir: Path | str,
        out_file: Path | str,
        num_workers: int = 1,
        progress: Callable[[int, int], None] = lambda done, of: None,
        scheduler: str | None = None,
    ) -> list[Status]:
        """Extract a whole data set; what was done before is not done again.

        Under ``torchrun`` every process takes its share (``RANK``, ``WORLD_SIZE``), and the first
        one waits for the others and writes the file.

        Args:
            dataset_dir: see `mera_train.features.clips.read`.
            out_file: the ``.npz``; or, where it ends in ``.pkl``, a feature file of MMSA's, with
                sequences. A status per clip lies beside it as ``.json``.
            num_workers: processes; 0 is this one.
            progress: told how many clips are done, and of how many.
            scheduler: of Dask, whose workers extract then: `mera_train.features.cluster`.

        Returns:
            What became of every clip.

        Raises:
            InputError: the data set cannot be used, or the disk is full (what was done is kept).
            CheckFailed: more clips failed than may; the file is written all the same.
        """
        directory, out = Path(dataset_dir).expanduser(), Path(out_file).expanduser()
        every = clips.read(directory)
        rank, world = int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1))
        with disk.room_for(out, "free some space and run it again: it resumes"):
            parts = self._parts(every, out.with_name(f"{out.name}.parts"))
            self._work(every[rank::world], parts[rank::world], num_workers, scheduler, progress)
            if rank:
                return []
            statuses = _gathered(parts)
            self._combine(every, statuses, parts, out)
            statuses += [
                Status(str(path), True, ("no row names it: left out",))
                for path in clips.unlabelled(directory, every)
            ]
            told = [asdict(status) for status in statuses]
            disk.write(out.with_suffix(".json"), json.dumps(told, indent=1, ensure_ascii=False))
        failed = [status for status in statuses if not status.ok]
        if len(failed) > self.config.max_failed * len(every):
            raise CheckFailed(
                f"{len(failed)} of {len(every)} clips failed, {failed[0].id} first: "
                f"{failed[0].notes[0]}",
                f"see {out.with_suffix('.json')}; --max-failed says how many may",
            )
        return statuses

    def _parts(self, every: Sequence[Clip], kept: Path) -> list[Path]:
        """Return where what is found out about each clip is kept: named by all it depends on."""
        spec = self.specification
        digests = Digests(kept / "digests.json")
        contents = [digests.of(clip.path) for clip in every]
        digests.save()
        _tell_leaks(every, contents)
        about = zip(every, contents, strict=True)
        names = [combined([spec, "sequences", c.id, c.text, content])[1:] for c, content in about]
        return [kept / f"{name}.npz" for name in names]

    def _work(
        self,
        mine: Sequence[Clip],
        parts: Sequence[Path],
        workers: int,
        scheduler: str | None,
        progress: Callable[[int, int], None],
    ) -> None:
        waiting = [(clip, part) for clip, part in zip(mine, parts, strict=True) if not _done(part)]
        done = len(mine) - len(waiting)
        progress(done, len(mine))
        for _ in self._extracted(waiting, workers, scheduler):
            progress(done := done + 1, len(mine))

    def _extracted(
        self, waiting: Sequence[tuple[Clip, Path]], workers: int, scheduler: str | None
    ) -> Iterator[None]:
        """Extract and keep clips; yields after each."""
        if scheduler is not None:
            there = [each for each in waiting if each[0].path.is_file()]
            for kept in extracted(scheduler, self.config.bundle, self.specification, there):
                _keep(*kept)
                yield
            waiting = [each for each in waiting if not each[0].path.is_file()]
        if workers <= 1:
            for clip, part in waiting:
                _keep(part, *self.extract(clip))
                yield
            return
        with pool(workers, _prepare, (self.config,)) as processes:
            for future in as_completed([processes.submit(_extract, *each) for each in waiting]):
                yield future.result()

    @property
    def specification(self) -> dict[str, Any]:
        """What the features depend on: `mera_train.features.store.specification`."""
        return specification(self._bundle, self.config.words)

    def extract(self, clip: Clip) -> tuple[Status, dict[str, NDArray[Any]]]:
        """Return what became of a clip and, if it could be used, its features."""
        return self._extractor.result_of(clip)

    @cached_property
    def _extractor(self) -> Extractor:
        return Extractor(self._bundle, self.config.words)

    def _combine(
        self, every: Sequence[Clip], statuses: Sequence[Status], parts: Sequence[Path], out: Path
    ) -> None:
        done = zip(every, statuses, parts, strict=True)
        rows = [_labels(clip) | dict(_read(part)) for clip, status, part in done if status.ok]
        if not rows:
            raise CheckFailed(
                f"not one of {len(every)} clips could be used: {statuses[0].notes[0]}",
                "look at the first of them",
            )
        if out.suffix == ".pkl":
            reference.save(out, rows)
            return
        # Only MMSA's layout has sequences.
        names = [name for name in rows[0] if not name.endswith(SEQUENCES)]
        arrays = {name: np.stack([row[name] for row in rows]) for name in names}
        save(out, Features(arrays, self.specification))


def _labels(clip: Clip) -> dict[str, Any]:
    """Return what the data set says about a clip."""
    said = {name: getattr(clip, name) for name in ("id", "split", "text", "emotion", "person")}
    return said | {name: np.float32(clip.ratings.get(name, np.nan)) for name in RATED}


def _tell_leaks(every: Sequence[Clip], contents: Sequence[str]) -> None:
    """Say which clips are in two splits."""
    first: dict[str, Clip] = {}
    both = []
    for clip, content in zip(every, contents, strict=True):
        other = first.setdefault(content, clip)
        if content != MISSING and other.split != clip.split:
            both.append(f"{other.id} ({other.split}) and {clip.id} ({clip.split})")
    if both:
        print(
            f"{len(both)} clips are in two splits, {both[0]} first: the figures flatter",
            file=sys.stderr,
        )


def _keep(part: Path, status: Status, row: Mapping[str, NDArray[Any]]) -> None:
    with disk.whole(part) as file:
        np.savez(file, status=np.array(json.dumps(asdict(status))), **row)  # type: ignore[arg-type]


def _done(part: Path) -> bool:
    """Whether a part is there and can be read."""
    try:
        with np.load(part, allow_pickle=False) as archive:
            return "status" in archive.files
    except SPOILED:
        return False


def _read(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    with np.load(path, allow_pickle=False) as archive:
        yield from ((name, archive[name]) for name in archive.files if name != "status")


def _gathered(parts: Sequence[Path]) -> list[Status]:
    """Wait until every process has done its share, and read what became of it."""
    statuses = []
    for part in parts:
        while not _done(part):
            time.sleep(0.2)
        with np.load(part, allow_pickle=False) as archive:
            told = json.loads(str(archive["status"]))
        statuses.append(Status(told["id"], told["ok"], tuple(told["notes"])))
    return statuses


def _configured(values: Mapping[str, Any], where: str) -> ExtractionConfig:
    try:
        return ExtractionConfig.model_validate(values)
    except ValidationError as error:
        raise configuration.explain(error, ExtractionConfig, where) from error


_worker: FeatureExtraction


def _prepare(config: ExtractionConfig) -> None:
    global _worker
    _worker = FeatureExtraction(config)


def _extract(clip: Clip, part: Path) -> None:
    _keep(part, *_worker.extract(clip))
