"""Which module may import which, and what is loaded when a program starts."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.support.commands import ROOT, environment

PACKAGES = ("lightning_app", "datamodules", "models", "submit")
OURS = (*PACKAGES, "benchmarks", "tests")
# a package, and what of this project it may import beside itself
MAY_IMPORT = {
    "datamodules": (),
    "models": (),
    "lightning_app": ("datamodules", "models"),
    "lightning_app.azureml": ("lightning_app.errors", "lightning_app.growing_file", "lightning_app.run_folder"),
    "lightning_app.azureml_logger": ("lightning_app.azureml", "lightning_app.errors", "lightning_app.run_folder"),
    "lightning_app.distributed": ("lightning_app.errors",),
    "lightning_app.doctor": ("lightning_app.azureml", "lightning_app.distributed", "lightning_app.errors"),
    "lightning_app.preemption": ("lightning_app.watchdog",),
    "lightning_app.report": ("lightning_app.azureml", "lightning_app.errors", "lightning_app.run_folder"),
    "lightning_app.watchdog": ("lightning_app.distributed",),
    # of the training program only what loads nothing heavy
    "submit": (
        "lightning_app.errors",
        "lightning_app.azureml.credentials",
        "lightning_app.azureml.destination",
        "lightning_app.azureml.run_artifacts",
        "lightning_app.checkpointing.sidecar",
        "lightning_app.command_line.flags",
        "lightning_app.export.files",
        "lightning_app.growing_file",
        "lightning_app.report",
        "lightning_app.watchdog.protocol",
    ),
    "submit.emulator": (),
    "submit.emulator.__main__": ("submit.emulator", "submit.execution"),  # a program: it lets the emulator's jobs run
}
# azureml-core takes a second to import: everywhere else it is imported inside the functions that need it
IMPORTS_AZUREML = {"lightning_app.azureml.azureml_run"}
HEAVY = ("torch", "torchvision", "pytorch_lightning", "matplotlib", "azureml", "tensorboard")
SERVING = ("onnx", "onnxruntime", "onnxscript", "starlette", "uvicorn")  # of extras that no training needs
LOADED = "import sys; {}; print(sorted({{name.partition('.')[0] for name in sys.modules}}))"


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_name(path): path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))}


def imports(path: Path, *, at_the_top: bool = False) -> Iterator[str]:
    """The modules that a file names in its imports; ``at_the_top`` leaves out functions and TYPE_CHECKING."""
    tree = ast.parse(path.read_text())
    for node in tree.body if at_the_top else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield name if name in MODULES else node.module


def is_in(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def loaded_by(statement: str, *flags: str) -> set[str]:
    program = LOADED.format(statement)
    done = subprocess.run(
        [sys.executable, *flags, "-c", program], capture_output=True, text=True, cwd=ROOT, env=environment()
    )
    assert done.returncode == 0, done.stderr
    return set(ast.literal_eval(done.stdout))


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_a_package_imports_only_what_it_may(package: str) -> None:
    allowed = (package, *MAY_IMPORT[package])
    files = [module for module in MODULES if module == package or (is_in(module, package) and module not in MAY_IMPORT)]
    assert files

    for module in files:
        ours = [
            name for name in imports(MODULES[module]) if name.partition(".")[0] in (*PACKAGES, "tests", "benchmarks")
        ]
        assert [name for name in ours if not any(is_in(name, other) for other in allowed)] == [], module


def test_imports_run_in_no_circle() -> None:
    graph = {module: {name for name in imports(path) if name in MODULES} for module, path in MODULES.items()}

    assert list(TopologicalSorter(graph).static_order())


def test_a_circle_would_be_found() -> None:
    with pytest.raises(CycleError):
        list(TopologicalSorter({"a": {"b"}, "b": {"a"}}).static_order())


def test_azureml_is_imported_at_the_top_of_one_module_only() -> None:
    found = {
        module
        for module, path in MODULES.items()
        if any(is_in(name, "azureml") for name in imports(path, at_the_top=True))
    }

    assert found == IMPORTS_AZUREML


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import lightning_app.main", HEAVY),
        (
            "import lightning_app.command_line.flags, lightning_app.errors, lightning_app.growing_file",
            (*HEAVY, "jsonargparse"),
        ),
        ("import lightning_app.command_line.cli", ("azureml", *SERVING)),
        ("import lightning_app.export.command, lightning_app.serving.command", (*HEAVY, *SERVING)),
        ("import lightning_app.azureml_logger", ("azureml",)),
        ("import lightning_app.azureml.open_folders", (*HEAVY, "requests")),
        ("import lightning_app.azureml.sender, lightning_app.deliver", (*HEAVY, "mlflow")),
        ("import lightning_app.azureml.mlflow.run", (*HEAVY, "mlflow")),
        ("import lightning_app.doctor.__main__", HEAVY),
        ("import lightning_app.report.command", HEAVY),
        ("import submit.main, submit.commands.run, submit.commands.sweep, submit.commands.rehearse", HEAVY),
    ],
)
def test_a_start_loads_nothing_heavy(statement: str, absent: tuple[str, ...]) -> None:
    assert loaded_by(statement) & set(absent) == set()


def test_the_watchdogs_agent_loads_the_standard_library_only() -> None:
    """It runs beside each training process, and its memory counts as often."""
    statement = f"sys.path.append({str(ROOT)!r}); import lightning_app.watchdog.agent"

    loaded = loaded_by(statement, "-I", "-S")

    assert loaded - set(sys.stdlib_module_names) <= {"lightning_app", "__main__"}


def test_what_is_loaded_would_be_seen() -> None:
    assert "numpy" in loaded_by("import numpy")
