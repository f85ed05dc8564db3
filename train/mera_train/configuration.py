"""Reading a role's YAML configuration."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ValidationError

from mera_edge.errors import ConfigError

Config = TypeVar("Config", bound=BaseModel)

RENAMED: dict[str, tuple[str, ...]] = {
    "accumulate": ("gradient_accumulation_steps",),
    "age_s": ("mean_age_s",),
    "aligned_epochs": ("frame_ce_epochs",),
    "always_unimodal": ("min_unimodal_weight",),
    "attention": ("attention_dim",),
    "average": ("ema_decay",),
    "balance": ("class_balance", "logit_adjustment"),
    "band_width": ("freq_mask_width",),
    "bands": ("freq_masks",),
    "batch": ("batch_size",),
    "batches": ("batches_per_epoch",),
    "blurred": ("blur_prob",),
    "chunk": ("chunk_size",),
    "chunks": ("chunk_sizes",),
    "clip": ("max_grad_norm",),
    "clipped": ("clipping_prob",),
    "coarse": ("downscale_prob",),
    "complete": ("full_modality_rate",),
    "context": ("context_dim",),
    "contrary": ("conflict_rate",),
    "correction": ("max_correction_nats",),
    "crop": ("crop_frames",),
    "degrees": ("max_rotation_deg",),
    "delete": ("deletion_prob",),
    "direct_db": ("drr_db",),
    "disturbance": ("augment",),
    "disturbed": ("degraded_rate",),
    "doubt": ("feature_swap_rate",),
    "dropped": ("missing_rate",),
    "embedding": ("embedding_dim",),
    "encoded": ("encoder_dims",),
    "equalise_db": ("eq_std_db",),
    "examples": ("examples_per_epoch",),
    "expansion": ("ff_expansion",),
    "fer2013": ("fer2013_loss_weight",),
    "further": ("extra_data",),
    "fused": ("fusion_dim",),
    "generate": ("generate_unimodal_labels",),
    "head": ("head_channels",),
    "hidden": ("erasing_prob",),
    "higher_is_better": ("greater_is_better",),
    "hiss_db": ("noise_floor_db",),
    "initial": ("init_checkpoint",),
    "iterations": ("ngram_max_iter",),
    "kernel": ("kernel_size",),
    "landmarks": ("landmark_loss_weight",),
    "leading_silence": ("max_leading_silence",),
    "longest": ("max_length",),
    "made": ("synthetic_noises_per_kind",),
    "members": ("ensemble_size",),
    "memory_s": ("pooling_time_constant_s",),
    "misread": ("correlated_error_rate",),
    "misspell": ("misspelling_prob",),
    "mixed": ("mixup_alpha",),
    "mixup": ("mixup_prob",),
    "moment_length": ("time_mask_width",),
    "moments": ("time_masks_per_s",),
    "narrow": ("band_limit_prob",),
    "noise": ("noise_prob", "noise_std"),
    "orders": ("max_ngram_order",),
    "outdated": ("half_life_s",),
    "penalty": ("ngram_l2",),
    "phones": ("phone_loss_weight",),
    "pictures": ("manifests",),
    "rarity": ("ngram_class_balance",),
    "repeat": ("corpus_repeats",),
    "rooms": ("reverb_prob",),
    "scenes": ("scenes_per_epoch",),
    "seconds": ("duration_s",),
    "select": ("metric_for_best_model",),
    "shade": ("max_shading",),
    "share": ("sentence_prob",),
    "shift": ("max_time_shift", "max_shift", "beta_shift"),
    "side": ("scene_size",),
    "size": ("crop_size",),
    "slots": ("hash_buckets",),
    "small_until": ("low_resolution_ratio",),
    "smoothing": ("label_smoothing",),
    "sounding_block": ("phone_head_block",),
    "speech": ("speech_prob",),
    "speeds": ("speed_factors",),
    "spoken": ("dialogue_corpora",),
    "start": ("init_checkpoint",),
    "stem": ("stem_channels",),
    "stretch": ("max_aspect_change",),
    "subsampling": ("subsampling_factor",),
    "substitute": ("substitution_prob",),
    "substitution_length": ("spec_sub_width",),
    "substitutions": ("spec_subs_per_s",),
    "synthetic": ("synthetic_corpus",),
    "tempo": ("max_tempo_change",),
    "tokens": ("tokens_per_modality",),
    "unimodal": ("unimodal_dim",),
    "unimodal_weight": ("unimodal_loss_weight",),
    "unseen": ("test_corpora",),
    "used": ("corpus_fraction",),
    "valence": ("valence_loss_weight",),
    "valence_weight": ("valence_loss_weight",),
    "vocabulary": ("vocab_size",),
    "warm_up": ("warmup_ratio",),
    "warp": ("max_freq_warp",),
    "weights": ("loss_weights",),
    "zoom": ("crop_scale",),
}
"""Keys of earlier versions and their current names; of several, the one that the section has."""

_HERE = Path(__file__).parent
CONFIGS = next(p for p in (_HERE / "configs", _HERE.parent / "configs") if p.is_dir())
"""The shipped configurations: inside the installed package, or next to it in a clone."""


def shipped(path: Path) -> Path:
    """Return ``path`` if it exists, else the shipped configuration of that name.

    Args:
        path: a file, or a name in `CONFIGS`: ``face/compact.yaml``, ``face/compact`` or
            ``train/configs/face/compact.yaml``.
    """
    if path.exists():
        return path
    inside = path.relative_to("train/configs") if path.is_relative_to("train/configs") else path
    found = CONFIGS / inside.with_suffix(".yaml")
    return found if not inside.is_absolute() and found.is_file() else path


def read(path: Path, model: type[Config]) -> Config:
    """Read a YAML file into a role's configuration.

    Raises:
        ConfigError: the file is missing or not YAML, or has an unknown key (the message suggests
            the nearest) or an invalid value.
    """
    return _validated(load(path), path, model)


def read_checkpoint(path: Path, model: type[Config]) -> Config:
    """Read the ``config.yaml`` of a checkpoint, possibly from an earlier version.

    Raises:
        ConfigError: as `read`.
    """
    return _validated(renamed(load(path), model), path, model)


def renamed(values: Mapping[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return the settings of ``model`` with `RENAMED` keys under their current names."""
    found = {}
    for key, value in values.items():
        name = _name_now(key, model) or key
        inner = _section(name, model)
        found[name] = renamed(value, inner) if inner and isinstance(value, dict) else value
    return found


def _name_now(key: str, model: type[BaseModel]) -> str | None:
    """Return the current name of a renamed key of ``model``; None for any other."""
    if key in model.model_fields:
        return None
    return next((name for name in RENAMED.get(key, ()) if name in model.model_fields), None)


def _section(key: str, model: type[BaseModel]) -> type[BaseModel] | None:
    """Return the model of a group of settings; None for a setting."""
    if key not in model.model_fields:
        return None
    annotation = model.model_fields[key].annotation
    for kind in (annotation, *get_args(annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _validated(values: dict[str, Any], path: Path, model: type[Config]) -> Config:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise explain(error, model, str(path)) from error


def load(path: Path) -> dict[str, Any]:
    """Read a YAML file, or one of `CONFIGS`; an empty file gives no keys.

    Raises:
        ConfigError: the file is missing, not YAML, or not a mapping.
    """
    try:
        values = yaml.safe_load(shipped(path).read_text(encoding="utf-8-sig")) or {}
    except FileNotFoundError as error:
        own = sorted(str(file.relative_to(CONFIGS)) for file in CONFIGS.rglob("*.yaml"))
        near = get_close_matches(str(path), own, n=3, cutoff=0.3) or own
        remedy = f"give a YAML file, or one of the project's own: {', '.join(near)}"
        raise ConfigError(f"{path} does not exist", remedy) from error
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read ({error})", "give a YAML file") from error
    if not isinstance(values, dict):
        raise ConfigError(f"{path} has no keys, it is a {type(values).__name__}", "give KEY: VALUE")
    return values


def explain(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    """Describe the first invalid value; for an unknown key, suggest the nearest known one."""
    errors = error.errors()
    # An unknown key (a typo) explains a missing one, so it is reported first.
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    key = ".".join(str(part) for part in first["loc"])
    remedy = ""
    if first["type"] == "extra_forbidden":
        *outer, last = map(str, first["loc"])
        section: type[BaseModel] | None = model
        for name in outer:
            section = section and _section(name, section)
        if section and (now := _name_now(last, section)):
            return ConfigError(f"{where}: {key} is now {now}", "rename it")
        near = get_close_matches(last, _keys(model), n=1)
        remedy = f"did you mean {near[0]!r}?" if near else ""
    return ConfigError(f"{where}: {key}: {first['msg']}", remedy)


def _keys(model: type[BaseModel]) -> list[str]:
    keys = list(model.model_fields)
    for name in model.model_fields:
        if section := _section(name, model):
            keys += _keys(section)
    return keys
