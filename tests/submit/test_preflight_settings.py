"""Values that Azure ML would refuse when a job is sent, or long after."""

from pathlib import Path

import pytest
from azureml.core import Environment

from submit.preflight.settings import (
    check_compute_name,
    check_conda_file,
    check_experiment_name,
    check_image,
    check_shm_size,
    check_variables,
)
from submit.vm_sizes import check_vm_size, successor


@pytest.mark.parametrize("value", ["16g", "512m", "8G", "64k"])
def test_sizes_of_shared_memory_have_a_unit(value: str) -> None:
    assert check_shm_size(value) == []


@pytest.mark.parametrize("value", [16, "16", "16gb", "0g", "g", "1.5g", "-1g", "", None])
def test_other_sizes_of_shared_memory_are_errors(value: object) -> None:
    assert [f.text for f in check_shm_size(value)] == [
        f"--shm_size {value!r}: expected a number with its unit, k, m or g, such as '16g'"
    ]


@pytest.mark.parametrize(
    ("name", "fits"),
    [("cifar-10_a", True), ("a" * 255, True)] + [(n, False) for n in ("", "-a", "a b", "a" * 256, "é1", "a\n", "a/b")],
)
def test_names_of_experiments(name: str, fits: bool) -> None:
    assert (check_experiment_name(name) == []) is fits


@pytest.mark.parametrize(
    ("name", "fits"),
    [("gpu-cluster", True), ("cpu1", True), ("gpu_cluster", False), ("a" * 33, False), ("", False), ("a b", False)],
)
def test_names_of_computes(name: str, fits: bool) -> None:
    assert (check_compute_name(name) == []) is fits


@pytest.mark.parametrize(
    ("image", "levels"),
    [
        ("mcr.microsoft.com/azureml/openmpi4.1.0-cuda11.8-cudnn8-ubuntu22.04:20240709.v1", []),
        ("pytorch/pytorch:2.4.0-cuda12.1-cudnn9-runtime", []),
        ("host.example:5000/a/b@sha256:" + "a1" * 32, []),
        ("ubuntu", ["warning"]),
        ("pytorch/pytorch:latest", ["warning"]),
        ("https://host.example/a:1", ["error"]),
        ("Upper/Case:1", ["error"]),
        ("a b:1", ["error"]),
        ("a:", ["error"]),
        ("a@sha256:xyz", ["error"]),
        ("", ["error"]),
    ],
)
def test_references_of_images(image: str, levels: list[str]) -> None:
    assert [finding.level for finding in check_image(image)] == levels


@pytest.mark.parametrize(
    ("entry", "level"),
    [
        ("python=3.11", None),
        ("python==3.12.4", None),
        ("python=3.8.13", "error"),
        ("python=3.13", "error"),
        ("python=2.7", "error"),
        ("python>=3.11", "warning"),
        ("python", "error"),
        ("python 3.11", "error"),
        ("python==3.11.*", "error"),
        ("Python=3.11", "error"),
        ("conda-forge::python=3.11", "error"),
        ("python-dateutil=2.9", "error"),
    ],
)
def test_the_python_of_a_conda_file(tmp_path: Path, entry: str, level: str | None) -> None:
    path = tmp_path / "conda.yml"
    path.write_text(f"name: e\ndependencies:\n- '{entry}'\n- pip\n- pip:\n  - torch\n")

    findings = check_conda_file(path)
    taken = Environment.from_conda_specification("e", str(path)).python.conda_dependencies.conda_packages

    assert [finding.level for finding in findings] == ([level] if level else [])
    assert level == "error" or entry in taken  # azureml-core takes it as it stands
    assert all(repr(entry) in finding.text or "names no Python" in finding.text for finding in findings)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "can't be read"),
        ("a: [", "isn't YAML (line "),
        ("- a\n", "has no list"),
        ("dependencies: x\n", "has no list"),
    ],
)
def test_a_conda_file_that_is_none(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "conda.yml"
    if content is not None:
        path.write_text(content)

    (finding,) = check_conda_file(path)

    assert finding.level == "error"
    assert message in finding.text


@pytest.mark.parametrize(
    ("size", "instead"),
    [
        ("Standard_NC6", "Standard_NC4as_T4_v3"),
        ("STANDARD_NC6", "Standard_NC4as_T4_v3"),
        ("Standard_NC24r_Promo", "Standard_NC64as_T4_v3"),
        ("Standard_NC6s_v2", "Standard_NC24ads_A100_v4"),
        ("Standard_NC12s_v3", "Standard_NC48ads_A100_v4"),
        ("Standard_ND24rs", "Standard_ND96amsr_A100_v4"),
        ("Standard_ND6", "Standard_NC4as_T4_v3"),
        ("Standard_NV6", "Standard_NV36ads_A10_v5"),
        ("Standard_NC4as_T4_v3", None),
        ("Standard_NC24ads_A100_v4", None),
        ("Standard_ND40rs_v2", None),
        ("Standard_DS3_v2", None),
    ],
)
def test_retired_sizes_have_a_successor_that_is_not_retired(size: str, instead: str | None) -> None:
    assert successor(size) == instead
    assert check_vm_size(size) == []  # only the workspace says whether a size can be created today
    assert instead is None or (successor(instead) is None and check_vm_size(instead) == [])


@pytest.mark.parametrize("size", ["", "NC6x", "Standard NC6s", "gpu"])
def test_what_is_no_name_of_a_size_is_an_error(size: str) -> None:
    assert "expected the name of a size" in check_vm_size(size)[0].text


@pytest.mark.parametrize(("value", "levels"), [("mlflow", []), ("azureml-core", []), ("mlfow", ["error"])])
def test_the_way_of_the_metrics_is_one_that_the_training_knows(value: str, levels: list[str]) -> None:
    findings = check_variables({"LIGHTNING_APP_METRICS": value})

    assert [finding.level for finding in findings] == levels
    assert all(finding.text.endswith(": expected 'azureml-core' or 'mlflow'") for finding in findings)
