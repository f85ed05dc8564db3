"""Who may import whom, and what the runtime must not carry."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {
    "mera_edge": ROOT / "edge" / "mera_edge",
    "mera_train": ROOT / "train" / "mera_train",
    "mera_calibration": ROOT / "calibration" / "mera_calibration",
    "mera_export": ROOT / "export" / "mera_export",
}
MAY_IMPORT = {
    "mera_edge": set(),
    "mera_train": {"mera_edge"},
    "mera_calibration": {"mera_edge"},
    "mera_export": {"mera_edge", "mera_train", "mera_calibration"},
}
FLOORS = [
    {"labels", "features", "errors", "reasons", "redaction", "backoff", "host", "metrics", "table"},
    {"sources", "engine", "bundle", "config", "credentials", "events", "evidence", "wording"},
    {"asr", "stages", "sinks"},
    {"pipeline"},
    {"evaluation", "service"},
    {"bench", "doctor", "notice", "sample"},
    {"cli"},
]
"""From the ground up: a module imports from its own floor or from below."""

NEVER_ON_THE_DEVICE = {
    "torch", "torchaudio", "torchvision", "transformers", "onnx", "sklearn",
    "huggingface_hub", "requests", "tokenizers",
}  # fmt: skip

LONGEST_MODULE, LONGEST_FUNCTION = 300, 60
"""Lines; of a function without its signature and its docstring."""

LONG_FOR_A_REASON: dict[tuple[str, str], str] = {}
"""By module and function (empty for all of a module), why."""


def modules(package: str) -> list[Path]:
    return sorted(PACKAGES[package].rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_what_they_may(package: str) -> None:
    foreign = set(PACKAGES) - MAY_IMPORT[package] - {package}
    for path in modules(package):
        # The command line finds the other packages' verbs by name, when they are installed.
        found = {name.split(".")[0] for name in imports(path)} & foreign
        assert not found, f"{path.relative_to(ROOT)} imports {found}"


def test_the_tests_of_the_device_run_without_torch() -> None:
    training = {"torch", "torchaudio", "torchvision", "transformers", "sklearn"}
    training |= set(PACKAGES) - {"mera_edge"}
    for path in sorted((ROOT / "tests" / "edge").glob("*.py")):
        found = {name.split(".")[0] for name in imports(path)} & training
        assert not found, f"{path.name} imports {found}: move it to tests/train or tests/export"


def floor(module: str) -> int:
    part = module.split(".")[1]
    return next(level for level, members in enumerate(FLOORS) if part in members)


@pytest.mark.parametrize("path", modules("mera_edge"), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_in_the_runtime_only_go_down(path: Path) -> None:
    inside = path.relative_to(PACKAGES["mera_edge"])
    if str(inside) in ("__init__.py", "__main__.py"):
        return
    own = floor(f"mera_edge.{inside.parts[0].removesuffix('.py')}")
    for name in imports(path):
        if name.startswith("mera_edge."):
            assert floor(name) <= own, f"{inside} imports {name}, which is above it"
    found = {name.split(".")[0] for name in imports(path)} & NEVER_ON_THE_DEVICE
    assert not found, f"{inside} imports {found}"


def test_the_documentation_draws_the_same_layers() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    start = page.index("`cli` |")
    layers = page[start : page.index("\n\n", start)].split("|")
    assert [set(re.findall(r"\w+", layer)) for layer in reversed(layers)] == FLOORS
    inside = page.split("## Inside `mera_edge`")[1].split("```")[1]
    parts = {
        path.stem
        for path in PACKAGES["mera_edge"].iterdir()
        if path.suffix in ("", ".py") and path.stem[0] != "_"
    }
    assert parts == set().union(*FLOORS)
    assert parts <= set(re.findall(r"\w+", inside))


def resolved(path: Path, package: str) -> set[str]:
    """The modules of ``package`` that a file imports, as dotted names of files."""
    root = PACKAGES[package].parent
    found = set()
    if path.parent == root / package and path.name == "__init__.py":
        return found  # It names what it loads on demand, for type checkers only.
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == package:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= {name if is_module(root, name) else str(node.module) for name in names}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith(f"{package}.")}
    return found


def is_module(root: Path, name: str) -> bool:
    place = root.joinpath(*name.split("."))
    return place.with_suffix(".py").exists() or (place / "__init__.py").exists()


@pytest.mark.parametrize("package", PACKAGES)
def test_no_module_imports_itself_by_way_of_others(package: str) -> None:
    root = PACKAGES[package].parent
    names = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for path in modules(package)
    }
    order = TopologicalSorter({name: resolved(path, package) for name, path in names.items()})
    try:
        order.prepare()
    except CycleError as circle:
        pytest.fail(" -> ".join(circle.args[1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_modules_and_functions_are_short(package: str) -> None:
    root, long = PACKAGES[package].parent, {}
    for path in modules(package):
        text, name = path.read_text(encoding="utf-8"), path.relative_to(root).as_posix()
        if len(text.splitlines()) > LONGEST_MODULE:
            long[name, ""] = len(text.splitlines())
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = node.end_lineno - body[0].lineno + 1 if body else 0
                if lines > LONGEST_FUNCTION:
                    long[name, node.name] = lines
    expected = {key for key in LONG_FOR_A_REASON if key[0].startswith(f"{package}/")}
    assert set(long) == expected, long


def test_every_name_in_the_map_exists() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    questions = text.split("## Where is ...?")[1].split("## ")[0]
    answers = re.findall(r"`(mera_\w+)/([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)", questions)
    assert len(answers) > 20
    for package, path, names in answers:
        source = ast.parse((PACKAGES[package] / path).read_text())
        there = {getattr(node, "name", None) for node in ast.walk(source)}
        there |= {
            target.id
            for node in source.body
            if isinstance(node, ast.Assign | ast.AnnAssign)
            for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
            if isinstance(target, ast.Name)
        }
        missing = set(re.findall(r"\w+", names)) - there
        assert not missing, f"{path} has no {missing}"


def test_large_files_are_committed_only_once() -> None:
    listed = subprocess.run(
        ["git", "ls-tree", "-rl", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    files: dict[str, list[str]] = {}
    for line in listed.stdout.splitlines():
        (_, _, digest, size), path = line.split("\t")[0].split(), line.split("\t")[1]
        if size.isdigit() and int(size) > 100_000:
            files.setdefault(digest, []).append(path)
    assert len(files) > 10
    assert not [paths for paths in files.values() if len(paths) > 1]


def test_precision_is_decided_without_training() -> None:
    found = {name.split(".")[0] for path in modules("mera_calibration") for name in imports(path)}
    assert not found & (NEVER_ON_THE_DEVICE - {"onnx"})


def test_engines_are_built_without_what_is_never_on_the_device() -> None:
    code = "import mera_export.cli, mera_export.tensorrt, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not NEVER_ON_THE_DEVICE & set(loaded.stdout.split())


def test_importing_the_package_is_light() -> None:
    code = (
        "import sys, time; start = time.process_time(); import mera_edge;"
        "took = time.process_time() - start;"
        "heavy = {'torch', 'cv2', 'onnxruntime', 'av', 'numpy', 'pydantic', 'typer', 'rich'};"
        "print(took, sorted(heavy & set(sys.modules)))"
    )
    answers = [
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(3)
    ]
    took, heavy = zip(*(answer.stdout.split(" ", 1) for answer in answers), strict=True)
    assert set(heavy) == {"[]\n"}
    assert min(map(float, took)) < 0.050
