"""A lock file is the environment of a job: what uv itself exports, as far as it is for the nodes."""

import re
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from submit.errors import SubmitError
from submit.job import BuiltEnvironment
from submit.lock_files import Locked, read_lock_file
from tests.submit.test_command_line import job_of

RECORDS = Path(__file__).parents[1] / "support" / "records" / "lock"
"""Made by uv 0.13.9: ``uv lock``, and ``uv export --no-dev --no-emit-project --extra v1 --no-annotate --no-header``."""

LOCK = RECORDS / "uv.lock"
NODES = {
    "python_version": "3.11",
    "python_full_version": "3.11.9",
    "sys_platform": "linux",
    "platform_machine": "x86_64",
}
PEP_751 = """
lock-version = "1.0"
requires-python = ">=3.10"
[[packages]]
name = "tqdm"
version = "4.70.1"
index = "https://pypi.org/simple"
wheels = [{ url = "https://a.org/tqdm-4.70.1-py3-none-any.whl", hashes = { sha256 = "aa" } }]
[[packages]]
name = "torch"
version = "2.8.0+cu126"
index = "https://download.pytorch.org/whl/cu126"
wheels = [
  { url = "https://b.org/torch-2.8.0%2Bcu126-cp311-cp311-manylinux_2_28_x86_64.whl", hashes = { sha256 = "bb" } },
  { url = "https://b.org/torch-2.8.0%2Bcu126-cp312-cp312-manylinux_2_28_x86_64.whl", hashes = { sha256 = "cc" } },
  { url = "https://b.org/torch-2.8.0%2Bcu126-cp311-cp311-win_amd64.whl", hashes = { sha256 = "dd" } },
]
[[packages]]
name = "colorama"
version = "0.4.6"
marker = "sys_platform == 'win32'"
wheels = [{ url = "https://a.org/colorama-0.4.6-py2.py3-none-any.whl", hashes = { sha256 = "ee" } }]
[[packages]]
name = "lightning-azureml"
directory = { path = ".", editable = true }
"""


def parsed(lines: list[str]) -> dict[str, tuple[str, set[str]]]:
    """The version and the hashes of each package of a requirements file that is for the nodes."""
    found = {}
    for line in lines:
        text, *hashes = line.split(" --hash=")
        requirement = Requirement(text.strip())
        if requirement.marker is None or requirement.marker.evaluate(NODES):
            found[requirement.name] = (str(requirement.specifier), {each.strip() for each in hashes})
    return found


def test_the_nodes_get_what_uv_exports_for_them() -> None:
    exported = re.sub(r"\s*\\\n\s*", " ", (RECORDS / "requirements.txt").read_text()).splitlines()

    locked = read_lock_file(LOCK, "--pip_requirements", "v1")

    expected, found = parsed(exported), parsed(locked.requirements)
    assert {name: version for name, (version, _) in found.items()} == {
        n: version for n, (version, _) in expected.items()
    }
    assert {"filelock", "jinja2", "markupsafe", "packaging"} <= found.keys()
    assert not {"tomli", "colorama", "iniconfig", "lightning-azureml"} & found.keys()
    assert all(found[name][1] and found[name][1] <= expected[name][1] for name in found)
    # of the wheel of another platform no hash, which makes the request a tenth of the file
    assert len(found["markupsafe"][1]) == 2 < len(expected["markupsafe"][1])


def test_an_extra_is_left_out_unless_it_is_asked_for() -> None:
    assert "packaging" not in parsed(read_lock_file(LOCK, "--pip_requirements").requirements)


def test_a_lock_file_is_the_environment_of_a_job() -> None:
    environment = job_of(f"--pip_requirements {LOCK} --docker_image me/image:1").environment

    assert isinstance(environment, BuiltEnvironment)
    python, pip, packages = yaml.safe_load(environment.conda or "")["dependencies"]
    assert (python, pip, environment.image) == ("python=3.11", "pip", "me/image:1")
    assert packages["pip"] == read_lock_file(LOCK, "--pip_requirements").requirements


def test_a_lock_of_a_project_without_this_program_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(SubmitError, match=r"has hashes, but not lightning-azureml, which pip then refuses"):
        job_of(f"--pip_requirements {LOCK} --source_directory {tmp_path}")


def test_a_pylock_file_is_an_environment_too(tmp_path: Path) -> None:
    file = tmp_path / "pylock.nodes.toml"
    file.write_text(PEP_751)

    assert read_lock_file(file, "--pip_requirements") == Locked(
        "3.11",
        [
            "--extra-index-url https://download.pytorch.org/whl/cu126",
            "torch==2.8.0+cu126 --hash=sha256:bb",
            "tqdm==4.70.1 --hash=sha256:aa",
        ],
    )


def test_the_python_is_one_that_the_lock_is_for(tmp_path: Path) -> None:
    file = tmp_path / "uv.lock"
    file.write_text(LOCK.read_text().replace('requires-python = ">=3.10, <3.13"', 'requires-python = ">=3.12"'))

    assert read_lock_file(file, "--pip_requirements").python == "3.12"


TQDM = 'name = "tqdm"\nversion = "4.70.1"\nsource = { registry = "https://pypi.org/simple" }'
GIT = '{ git = "https://github.com/a/tqdm?rev=main#0123" }'


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "version = 1\n",
            "version = 2\n",
            "has version 2; expected 1; export it: uv export ",
        ),
        ("version = 1\n", 'version = 1\nconflicts = [[{ extra = "a" }]]\n', "has extras that exclude one another"),
        (
            'requires-python = ">=3.10, <3.13"',
            'requires-python = ">=3.13"',
            "is for Python >=3.13; expected one of ",
        ),
        ('source = { virtual = "." }', 'source = { virtual = "a" }', "has no project of its own; export it"),
        (TQDM, f"{TQDM.partition('source')[0]}source = {GIT}", "tqdm comes from git 'https://github.com/a/tqdm"),
        ("hash = ", "hashes = ", "has no hash, so that pip would install nothing; export it"),
        ("py3-none-any.whl", "cp39-cp39-win32.whl", "has no file for Linux on x86-64 and Python 3.11"),
        ("[[package]]", "[[package", "can't be read (TOMLDecodeError: "),
    ],
)
def test_what_pip_could_not_install_is_one_line(tmp_path: Path, old: str, new: str, message: str) -> None:
    file, text = tmp_path / "uv.lock", LOCK.read_text()
    assert old in text
    text = text.replace(old, new)
    file.write_text(text if "no file" not in message else re.sub(r"sdist = .*\n", "", text))

    with pytest.raises(SubmitError) as error:
        read_lock_file(file, "--pip_requirements")

    assert str(error.value).startswith(f"--pip_requirements '{file}': ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
