"""A role that one table knows is in all of them: a new one cannot be half added."""

import ast
import importlib
from pathlib import Path
from typing import get_args

import pytest

from mera_calibration.qdq import preset_for
from mera_edge.bundle import Bundle, RoleName
from mera_edge.bundle.catalogue import catalogue
from mera_edge.bundle.interface import INTERFACES
from mera_edge.bundle.manifest import PublishedRole
from mera_edge.cli.complete import evaluated
from mera_edge.evaluation.evaluate import EVALUATORS
from mera_edge.evaluation.role_evaluators import ROLE_EVALUATORS
from mera_edge.labels import MODALITIES, MODALITY_NAMES
from mera_export.bundle import ROLES as EXPORTED
from mera_train.cli import ROLES as TRAINED
from mera_train.fusion.evidence import EXAMPLES

ROOT = Path(__file__).parents[1]
OURS = [role for role in get_args(RoleName) if role != "asr_final"]
"""All but the one that only published models play."""


def test_every_table_has_every_role() -> None:
    assert set(INTERFACES) == set(TRAINED) == set(EXPORTED) == set(OURS)
    assert set(Bundle.open().manifest.roles) == set(OURS)
    assert {model.role for model in catalogue().values()} <= set(get_args(RoleName))
    assert set(get_args(PublishedRole)) <= set(OURS)


@pytest.mark.parametrize("role", OURS)
def test_a_role_is_trained_and_exported(role: str) -> None:
    training = importlib.import_module(f"mera_train.{role}.train")
    exporter = importlib.import_module(f"mera_export.{role}")
    assert callable(training.train)
    assert callable(exporter.export)
    assert (ROOT / "train" / "checkpoints" / role / "model.safetensors").is_file()
    # Own examples: the setting, the module and the configuration, or none of them.
    takes_own = "own" in training.Config.model_fields
    assert (ROOT / "train" / "mera_train" / role / "own.py").is_file() == takes_own
    assert (ROOT / "train" / "configs" / role / "own.yaml").is_file() == takes_own


@pytest.mark.parametrize("role", ROLE_EVALUATORS)
def test_a_role_that_is_evaluated_is_quantized(role: RoleName) -> None:
    exporter = importlib.import_module(f"mera_export.{role}")
    assert exporter.CORPORA
    assert callable(exporter.dataset)
    assert callable(exporter.prepare)
    assert issubclass(exporter.Config, importlib.import_module(f"mera_train.{role}.train").Config)
    assert preset_for(role).operators


def test_evaluated_roles_are_completed_in_the_shell() -> None:
    assert evaluated("") == list(EVALUATORS)


def test_every_modality_is_a_role_with_examples_for_the_fusion_and_a_name() -> None:
    assert set(MODALITIES) <= set(ROLE_EVALUATORS)
    assert set(EXAMPLES) == set(MODALITY_NAMES) == set(MODALITIES)


def test_a_published_role_is_opened_by_its_stage() -> None:
    stages = (ROOT / "edge" / "mera_edge" / "stages").glob("*.py")
    calls = [node for path in stages for node in ast.walk(ast.parse(path.read_text()))]
    opened = {
        call.args[0].value
        for call in calls
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "chosen"
        if isinstance(call.args[0], ast.Constant)
    }
    assert opened == set(get_args(PublishedRole))
