"""Feature extraction from clips with the device's pipeline, so that training matches inference.

A clip is processed by the same stages, tick by tick, as a recording in `mera-edge predict`. Results
are cached in ``OUT.parts`` by the content of the clip and its words, so that an interrupted run
resumes. Labels, ratings and splits are read from the data set each time.
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
    """Configuration of the extraction; YAML or JSON."""

    model_config = ConfigDict(extra="forbid")

    bundle: Path | None = Field(None, description="whose encoders; the default bundle if unset")
    words: Words = Field(
        "both", description="read the data set's words (gold), the recognizer's (heard), or both"
    )
    max_failed: float = Field(0.05, ge=0, le=1, description="share of clips that may fail")


class FeatureExtraction:
    """Extracts features.

    Args:
        config: its keys, or the path of a YAML or JSON file; MMSA-FET's format is converted.

    Raises:
        ConfigError: the file is invalid.
        BundleError: the bundle is invalid.
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
            text: its transcript, if known.

        Raises:
            InputError: it cannot be decoded, or has neither audio nor video.
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
        """Extract the features of a whole data set; resumes an interrupted run.

        Under ``torchrun`` every process extracts its share (``RANK``, ``WORLD_SIZE``); the first
        waits for the others and writes the file.

        Args:
            dataset_dir: see `mera_train.features.clips.read`.
            out_file: the ``.npz``; with the suffix ``.pkl`` a feature file for MMSA, with
                sequences. A ``.json`` next to it has the status of every clip.
            num_workers: number of worker processes; 0 uses this process.
            progress: called with the number of finished clips and of all clips.
            scheduler: address of a Dask scheduler whose workers do the extraction: see
                `mera_train.features.cluster`.

        Returns:
            The status of every clip.

        Raises:
            InputError: the data set is invalid, or the disk is full (finished work is kept).
            CheckFailed: too many clips failed; the file is written anyway.
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
        """Return the cache file of each clip, named by everything that it depends on."""
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
        """Extract clips into the cache; yields after each."""
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
        """Return what the features depend on: see `mera_train.features.store.specification`."""
        return specification(self._bundle, self.config.words)

    def extract(self, clip: Clip) -> tuple[Status, dict[str, NDArray[Any]]]:
        """Return the status of a clip and, if usable, its features."""
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
        # Only MMSA's format has sequences.
        names = [name for name in rows[0] if not name.endswith(SEQUENCES)]
        arrays = {name: np.stack([row[name] for row in rows]) for name in names}
        save(out, Features(arrays, self.specification))


def _labels(clip: Clip) -> dict[str, Any]:
    """Return the labels of a clip in the data set."""
    said = {name: getattr(clip, name) for name in ("id", "split", "text", "emotion", "person")}
    return said | {name: np.float32(clip.ratings.get(name, np.nan)) for name in RATED}


def _tell_leaks(every: Sequence[Clip], contents: Sequence[str]) -> None:
    """Report clips that are in two splits."""
    first: dict[str, Clip] = {}
    both = []
    for clip, content in zip(every, contents, strict=True):
        other = first.setdefault(content, clip)
        if content != MISSING and other.split != clip.split:
            both.append(f"{other.id} ({other.split}) and {clip.id} ({clip.split})")
    if both:
        print(
            f"{len(both)} clips are in two splits, first {both[0]}: the metrics are too optimistic",
            file=sys.stderr,
        )


def _keep(part: Path, status: Status, row: Mapping[str, NDArray[Any]]) -> None:
    with disk.whole(part) as file:
        np.savez(file, status=np.array(json.dumps(asdict(status))), **row)  # type: ignore[arg-type]


def _done(part: Path) -> bool:
    """Whether a part exists and is readable."""
    try:
        with np.load(part, allow_pickle=False) as archive:
            return "status" in archive.files
    except SPOILED:
        return False


def _read(path: Path) -> Iterator[tuple[str, NDArray[Any]]]:
    with np.load(path, allow_pickle=False) as archive:
        yield from ((name, archive[name]) for name in archive.files if name != "status")


def _gathered(parts: Sequence[Path]) -> list[Status]:
    """Wait until all processes are done, and read their results."""
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
