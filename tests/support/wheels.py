"""This project as an installed wheel."""

import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.commands import ROOT

_PIP = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
_NOT_IN_THE_SOURCE = (".*", "*.egg-info", "build", "outputs")


def installed_wheel(folder: Path) -> Path:
    """Builds the wheel and installs it, without its dependencies; returns the folder for ``PYTHONPATH``."""
    source, site = folder / "source", folder / "site"
    shutil.copytree(ROOT, source, ignore=shutil.ignore_patterns(*_NOT_IN_THE_SOURCE))
    build = ("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder / "dist"), str(source))
    install = ("install", "--no-deps", "--no-index", "--target", str(site), "--find-links", str(folder / "dist"))
    for words in (build, (*install, "lightning-azureml")):
        done = subprocess.run([*_PIP, *words], cwd=folder, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stderr
    return site
