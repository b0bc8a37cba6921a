"""The page about submitting: the two requests of one command, and the place of each flag in both."""

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from submit.commands.flags import job_options
from submit.describe import describe_job
from submit.job import JOB_KEY
from submit.main import parse_command
from submit.sdk import Name, choose_sdk
from tests.support.commands import ROOT

PAGE = (ROOT / "docs" / "submitting.md").read_text()
CELLS = re.compile(r"^\| `(?P<flag>--\w+)[^|]*\| (?P<v1>[^|]+) \| (?P<v2>[^|]+) \|$", re.MULTILINE)
TABLE = {row["flag"]: row for row in CELLS.finditer(PAGE.partition("| flag | SDK v1")[2].partition("\n\n")[0])}
NOT_IN_THE_REQUEST = ("--workspace", "--prices", "--sdk", "--dry_run", "--wait")
KEY = "0" * 32
SERVERLESS = "--compute serverless"
# for each flag: what is given besides, and the flag; several where its place depends on other flags
SAMPLES: Mapping[str, Sequence[tuple[str, str]]] = {
    "--compute": [("", "--compute other")],
    "--vm_size": [(SERVERLESS, "--vm_size Standard_NC4as_T4_v3")],
    "--low_priority": [(SERVERLESS, "--low_priority")],
    "--nodes": [("", "--nodes 3"), ("--launcher mpi", "--nodes 3")],
    "--processes_per_node": [("", "--processes_per_node 2"), ("--launcher mpi", "--processes_per_node 2")],
    "--launcher": [("--processes_per_node 2", "--launcher mpi")],
    "--dataset": [("", "--dataset cifar10:3"), ("", "--dataset data/cifar10")],
    "--mount": [("--dataset a:1 --download_dataset", ""), ("--dataset data/a --download_dataset", "")],
    "--download_dataset": [("--dataset a:1", "--download_dataset"), ("--dataset data/a", "--download_dataset")],
    "--environment": [("", "--environment mine:7")],
    "--conda_file": [("", "--conda_file conda.yaml")],
    "--pip_requirements": [("", "--pip_requirements requirements.txt")],
    "--docker_image": [("", "--docker_image me/image:1")],
    "--dockerfile": [("", "--dockerfile build/Dockerfile")],
    "--env": [("", "--env A=b")],
    "--shm_size": [("", "--shm_size 16g")],
    "--max_duration": [("", "--max_duration 2h")],
    "--tag": [("", "--tag team=vision")],
    "--tensorboard": [("", "--tensorboard")],
    "--ssh_key": [("", "--ssh_key key.pub")],
    "--experiment": [("", "--experiment other")],
    "--source_directory": [("--docker_image me/image:1", f"--docker_image me/image:1 --source_directory {ROOT}")],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the files that flags name."""
    made = tmp_path_factory.mktemp("files")
    (made / "build").mkdir()
    (made / "build" / "Dockerfile").write_text("FROM me/image:1\n")
    (made / "conda.yaml").write_text("name: mine\ndependencies:\n- python=3.11\n- pip:\n  - torch\n")
    (made / "requirements.txt").write_text("torch==2.8.0\n")
    (made / "key.pub").write_text(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIO6xzE1J1y0eV7m2qk8m4G1q5n6wzq7v8z9x0y1A2B3C me@here\n"
    )
    return made


def request(name: Name, flags: str) -> dict[str, Any] | str:
    """The request, or why there is none."""
    words = ["run", "--sdk", name, *shlex.split(flags), "--env", f"{JOB_KEY}={KEY}"]
    _, options, others = parse_command(words)
    sdk = choose_sdk(name)
    job = describe_job(job_options(options), others, sdk.job_extra)
    for finding in sdk.findings(job):
        if finding.level == "error":
            return finding.text
    found: dict[str, Any] = yaml.safe_load(sdk.request(job))
    return found


def places(content: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(content, dict) and content:
        return {
            place: value for name, inner in content.items() for place, value in places(inner, (*path, name)).items()
        }
    return {path: content}


def changed(name: Name, samples: Sequence[tuple[str, str]]) -> dict[tuple[str, ...], Any]:
    """What a flag changes in the request, besides the command, which has the flags of the training."""
    found: dict[tuple[str, ...], Any] = {}
    for besides, flag in samples:
        given = request(name, f"{besides} {flag}" if flag else besides.replace("--download_dataset", "--mount"))
        without = request(name, besides)
        assert isinstance(without, dict)
        assert isinstance(given, dict)
        before, after = places(without), places(given)
        found |= {place: after.get(place) for place in {*before, *after} if before.get(place) != after.get(place)}
    short = {
        tuple(part for part in place if part not in ("definition", "Configuration")): found[place] for place in found
    }
    return {place: value for place, value in short.items() if place[-1] != "command"}


def named(cell: str) -> list[tuple[str, ...]]:
    """The places in a cell: code of lower-case letters first and dots, up to a colon."""
    words = re.findall(r"`([^`]+)`", cell)
    return [
        tuple(word.partition(":")[0].split(".")) for word in words if re.fullmatch(r"[a-z][\w.]*(: [\w/{}$.:]+)?", word)
    ]


def is_at(place: tuple[str, ...], word: tuple[str, ...]) -> bool:
    """Whether a word names the place, or a part of it."""
    return any(place[start : start + len(word)] == word for start in range(len(place)))


@pytest.mark.parametrize("sdk", ["v1", "v2"])
@pytest.mark.parametrize("flag", SAMPLES)
def test_a_flag_is_where_the_table_says(flag: str, sdk: Name, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    cell = TABLE[flag][sdk]
    if cell.startswith("refused"):
        answers = [request(sdk, f"{besides} {given}") for besides, given in SAMPLES[flag]]
        assert all("needs SDK v2: give --sdk v2" in answer for answer in answers)
        return
    found, words = changed(sdk, SAMPLES[flag]), named(cell)
    texts = {str(value) for value in found.values()}

    for word in words:
        assert any(is_at(place, word) for place in found) or ".".join(word) in texts, (word, found)
    for place in found:
        assert any(place[0] == word[0] or is_at(place, word) for word in words), (place, cell)


def test_the_table_has_a_sample_for_each_flag_of_a_request() -> None:
    assert set(TABLE) - set(NOT_IN_THE_REQUEST) == set(SAMPLES)


@pytest.mark.parametrize("sdk", ["v1", "v2"])
def test_the_two_requests_on_the_page_are_those_of_its_command(sdk: Name, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    section = PAGE.partition("### One command, two requests")[2].partition("\n## ")[0]
    (command,) = re.findall(
        rf"^python -m submit run --dry_run --sdk {sdk} (.*)$", section.replace("\\\n", ""), re.MULTILINE
    )
    shown = re.findall(r"^```yaml\n(.*?)^```", section, re.MULTILINE | re.DOTALL)[["v1", "v2"].index(sdk)]

    _, options, training = parse_command(["run", "--sdk", sdk, *shlex.split(command)])
    chosen = choose_sdk(sdk)
    sent = chosen.request(describe_job(job_options(options), training, chosen.job_extra))

    key = re.compile(rf"{JOB_KEY}: .*")
    assert len(key.findall(sent)) == len(key.findall(shown)) == 1
    assert key.sub("", shown) == key.sub("", sent)
