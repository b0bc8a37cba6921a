"""A Python that has what this one has, except the clients of Azure ML and MLflow."""

import re
import subprocess
import sysconfig
import venv
from pathlib import Path

_LEFT_OUT = re.compile(r"(azure|mlflow|msrest|msal|__editable__|lightning_azureml|__pycache__)", re.IGNORECASE)


def make_bare_python(folder: Path) -> str:
    """Makes an environment of its own, whose packages are links to those of this one; returns its interpreter."""
    venv.create(folder, symlinks=True, with_pip=False)
    python = str(folder / "bin" / "python")
    here = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    packages = Path(here.stdout.strip())
    for place in dict.fromkeys(sysconfig.get_path(kind) for kind in ("purelib", "platlib")):
        for entry in Path(place).iterdir():
            if not _LEFT_OUT.match(entry.name) and not (packages / entry.name).exists():
                (packages / entry.name).symlink_to(entry, target_is_directory=entry.is_dir())
    return python


def names_what_is_imported(folder: Path, module: str) -> dict[str, str]:
    """Variables with which each Python writes its arguments to ``folder/imported`` when it imports the module."""
    (folder / "sitecustomize.py").write_text(
        f"""
import sys

class Recorder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            with open({str(folder / "imported")!r}, "a") as file:
                file.write(" ".join(sys.orig_argv) + "\\n")

sys.meta_path.insert(0, Recorder())
"""
    )
    return {"PYTHONPATH": str(folder)}
