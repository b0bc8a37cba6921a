"""Exported models that are registered with their origin, with both SDKs, and read back by the unmodified clients."""

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from submit.emulator import AzureMLEmulator
from submit.emulator.online import OnlineEndpoint
from submit.runs.model_labels import fitted_labels
from tests.support.commands import Outcome, environment
from tests.support.in_process import run_in_process
from tests.support.submit_in_process import InProcess
from tests.support.submitters import Submitter
from tests.support.submitters_v2 import V2Submitter
from tests.support.trained_runs import cifar_run

FILES = ("SHA256SUMS", "model.json", "model.onnx")
READ_V1 = """
found = {}
for model in Model.list(ws):
    if model.name.startswith("back-"):
        model.download(f"back/{model.name}")
    found[model.name] = [model.version, model.tags, model.properties, model.description]
print(json.dumps(found))
"""
READ_V2 = """
found = {}
for each in ml.models.list():
    model = ml.models.get(each.name, label="latest")
    if model.name.startswith("back-"):
        ml.models.download(model.name, model.version, f"back/{model.name}")
    found[model.name] = [int(model.version), model.tags, model.properties, model.description]
print(json.dumps(found))
"""
READ_DEPLOYMENTS = """
found = {}
for endpoint in ml.online_endpoints.list():
    green = ml.online_deployments.get("green", endpoint.name)
    model, environment = (address.split("/")[-3::2] for address in (green.model, green.environment))
    ml.models.download(*model, f"models/{endpoint.name}")
    _, _, packages = ml.environments.get(*environment).conda_file["dependencies"]
    found[endpoint.name] = [endpoint.traffic, packages["pip"]]
print(json.dumps(found))
"""
SCORE = """
import json, pathlib, sys
import score
score.init()
print(json.dumps(score.run(pathlib.Path(sys.argv[1]).read_bytes())))
"""


@dataclass
class Registry:
    """A user with a workspace, a run of it with its files, and the exported model of its best checkpoint."""

    user: InProcess
    outputs: Path
    run: str

    @property
    def export(self) -> Path:
        return self.outputs / "export"

    def register(self, *arguments: str) -> Outcome:
        return self.user.submit("register", *arguments)

    def registered(self, *arguments: str) -> dict[str, Any]:
        outcome = self.register(*arguments, "--json")
        assert outcome.status == 0, outcome.err
        content: dict[str, Any] = json.loads(outcome.out)
        return content


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    folder = tmp_path_factory.mktemp("registry")
    outputs = cifar_run(folder)
    exported = run_in_process("export", str(outputs))
    assert exported.status == 0, exported.err
    with AzureMLEmulator() as service:
        run = service.new_run("lightning-azureml").id
        for path in outputs.rglob("*"):
            if path.is_file():
                service.add_artifact(run, f"outputs/{path.relative_to(outputs)}", path.read_bytes())
        service.set_run_status(run, "Completed")
        yield Registry(InProcess(service, folder), outputs, run)
        assert service.unknown == []


@pytest.mark.parametrize("sdk", ["v1", "v2"])
def test_an_exported_model_has_its_metrics_and_its_origin(registry: Registry, sdk: str) -> None:
    content = json.loads((registry.export / "model.json").read_text())
    flags = ("--name", f"of-folder-{sdk}", "--export", str(registry.export), "--sdk", sdk)

    alone, of_run = registry.registered(*flags), registry.registered(registry.run, *flags)
    inside = registry.registered(registry.run, "--name", f"inside-{sdk}", "--export", "--sdk", sdk)

    assert (alone["version"], of_run["version"], inside["version"]) == (1, 2, 1)
    assert alone["tags"]["val_accuracy"] == f"{content['metrics']['val_accuracy']:.6g}"
    assert (alone["checkpoint"], of_run["checkpoint"]) == ("best.ckpt", "outputs/checkpoints/best.ckpt")
    assert "run_id" not in alone["properties"]
    assert of_run["properties"]["run_id"] == inside["tags"]["run_id"] == registry.run
    for model in (alone, of_run, inside):
        assert model["properties"]["checkpoint_sha256"] == content["checkpoint"]["sha256"]
        assert model["properties"]["data"] == content["data_path"]
        assert model["properties"]["git_commit"] == content["git_commit"]
        assert model["properties"]["classes"] == ", ".join(content["classes"])
        assert model["left_out"] == model["shortened"] == []


@pytest.mark.slow
def test_the_clients_read_back_what_was_registered(registry: Registry, tmp_path: Path) -> None:
    """Each SDK finds what either has registered, of a folder and of a run, and downloads it."""
    service, expected = registry.user.service, {}
    for sdk in ("v1", "v2"):
        for kind, words in (
            ("folder", (registry.run, "--export", str(registry.export))),
            ("run", (registry.run, "--export")),
        ):
            name = f"back-{kind}-{sdk}"
            model = registry.registered(*words, "--name", name, "--description", "birds", "--sdk", sdk)
            expected[name] = [model["version"], model["tags"], model["properties"], "birds"]

    for sdk, user, script in (("v1", Submitter, READ_V1), ("v2", V2Submitter, READ_V2)):
        folder = tmp_path / sdk
        folder.mkdir()
        found = user(service, folder).script_result(script)
        for name, labels in expected.items():
            assert found[name] == labels
            files = {path.name: path for path in (folder / "back" / name).rglob("*") if path.is_file()}
            assert sorted(files) == sorted(FILES)
            for file in FILES:
                assert files[file].read_bytes() == (registry.export / file).read_bytes()


@pytest.mark.slow
def test_a_registered_model_is_deployed_by_its_name_and_the_scoring_code_answers_with_it(
    registry: Registry, tmp_path: Path
) -> None:
    """Whichever SDK has registered it, of a folder or of a run; the client reads back what was deployed."""
    service, folder = registry.user.service, ("--export", str(registry.export))
    service.set_creation_time(0)
    ways = {
        "folder-v1": ("v1", registry.run, *folder),
        "folder-v2": ("v2", registry.run, *folder),
        "run-v2": ("v2", registry.run, "--export"),
    }
    for name, (sdk, *words) in ways.items():
        version = registry.registered(*words, "--name", name, "--sdk", sdk)["version"]
        model = f"azureml:{name}:{version}"
        deployed = registry.user.submit("deploy", model, "--sdk", "v2", "--endpoint", name, "--deployment", "green")
        assert deployed.status == 0, deployed.err

    found = V2Submitter(service, tmp_path).script_result(READ_DEPLOYMENTS)

    versions = json.loads((registry.export / "model.json").read_text())["versions"]
    expected = [f"{name}=={versions[name].partition('+')[0]}" for name in ("torch", "torchvision", "onnxruntime")]
    assert {name: traffic for name, (traffic, _) in found.items()} == {name: {"green": 100} for name in ways}
    picture = tmp_path / "1.png"
    Image.effect_noise((40, 50), 80).convert("RGB").save(picture)
    answers = [answer_of(service.endpoints[0], registry.export, picture, tmp_path / "of-export")]
    for endpoint in service.endpoints:
        assert [package for package in found[endpoint.name][1] if package in expected] == expected
        models = tmp_path / "models" / endpoint.name
        answers.append(answer_of(endpoint, models, picture, tmp_path / endpoint.name))
    assert answers == [answers[0]] * 4
    assert answers[0]["predictions"][0][0]["probability"] > 0


def answer_of(endpoint: OnlineEndpoint, models: Path, picture: Path, folder: Path) -> Any:
    """What the uploaded scoring code answers to a picture, with the model below a folder."""
    for name, content in endpoint.deployments["green"].files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    variables = {name: value for name, value in environment().items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, "-c", SCORE, str(picture)], cwd=folder, env=variables | {"AZUREML_MODEL_DIR": str(models)},
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_no_exported_model_is_refused_before_anything_is_sent(registry: Registry, tmp_path: Path) -> None:
    before = len(registry.user.service.models)
    damaged, more, less, unlisted, empty = (
        tmp_path / name for name in ("damaged", "more", "less", "unlisted", "empty")
    )
    for folder in (damaged, more, less, unlisted):
        shutil.copytree(registry.export, folder)
    with (damaged / "model.onnx").open("r+b") as file:
        file.seek(4000)
        file.write(b"\x00\x01\x02")
    (more / "notes.txt").write_text("mine")
    (less / "model.onnx").unlink()
    (unlisted / "SHA256SUMS").write_text("")
    empty.mkdir()
    name = ("--name", "net", "--export")

    for words, message in (
        ((*name, str(damaged)), f"--export '{damaged}': model.onnx isn't the file that was exported; export again"),
        ((*name, str(more)), f"--export '{more}': notes.txt isn't part of the exported model, and would be sent with"),
        ((*name, str(less)), f"--export '{less}': model.onnx is missing; export again"),
        ((*name, str(unlisted)), f"--export '{unlisted}': SHA256SUMS doesn't name model.json; export again"),
        ((*name, str(empty)), f"--export '{empty}': isn't an exported model, it has no model.json and no SHA256SUMS; "),
        ((*name, "nowhere"), "--export 'nowhere': no such folder; give the folder that python -m lightning_app export"),
        (("--name", "my net", "--export", str(more)), "--name 'my net': expected letters, digits, '-', '.' and '_'"),
        (("--name", "net"), "RUN is missing; give the id of a run, or --export DIR with the folder of an exported"),
        ((*name,), "RUN is missing; give the id of a run, or --export DIR with the folder of an exported model"),
    ):
        outcome = registry.register(*words)
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1), words
        assert outcome.err.startswith(f"error: {message}"), outcome.err
    assert len(registry.user.service.models) == before


@pytest.mark.parametrize("sdk", ["v1", "v2"])
def test_a_run_must_have_what_is_registered_of_it(registry: Registry, sdk: str) -> None:
    service, best = registry.user.service, registry.outputs / "checkpoints" / "best.ckpt.json"
    other = json.loads(best.read_text()) | {"sha256": "0" * 64}
    runs = [service.new_run("lightning-azureml").id for _ in range(3)]
    service.add_artifact(runs[0], "outputs/checkpoints/best.ckpt.json", json.dumps(other).encode())
    for path in registry.export.iterdir():
        service.add_artifact(runs[1], f"outputs/export/{path.name}", path.read_bytes())
        service.add_artifact(runs[1], f"outputs/retry_001/export/{path.name}", path.read_bytes()[:5000])
        for training in ("one", "two"):
            service.add_artifact(runs[2], f"outputs/{training}/export/{path.name}", path.read_bytes())
    flags, export = ("--name", "net", "--sdk", sdk), ("--export", str(registry.export))

    running = registry.register(runs[0], *flags, "--export")
    for run in runs:
        service.set_run_status(run, "Completed")
    another = registry.register(runs[0], *flags, *export)
    none = registry.register(runs[0], *flags, "--export")
    damaged = registry.register(runs[1], *flags, "--export")
    several = registry.register(runs[2], *flags, "--export")

    assert running.err.startswith(f"error: run {runs[0]} is Running; its files are complete only when it has ended")
    message = f"error: --export '{registry.export}': its checkpoint best.ckpt (SHA-256 "
    assert another.err.startswith(message)
    assert (
        f"is none of run {runs[0]}, whose checkpoints with a hash are: outputs/checkpoints/best.ckpt; " in another.err
    )
    assert none.err == (
        f"error: run {runs[0]} has no exported model, such as outputs/export; export its checkpoint on this machine "
        f"(python -m submit download {runs[0]} --target here; python -m lightning_app export here/outputs), and give "
        "--export DIR\n"
    )
    assert damaged.err == (
        f"error: run {runs[1]}: outputs/retry_001/export: model.onnx isn't the file that was exported; export again\n"
    )
    assert several.err.startswith(
        f"error: run {runs[2]} has several exported models, outputs/one/export, outputs/two/export; download one ("
    )
    for outcome in (running, another, none, damaged, several):
        assert (outcome.status, outcome.out, outcome.err.count("\n")) == (2, "", 1)


def test_long_values_are_shortened_and_what_is_too_much_is_named() -> None:
    metrics = {f"layer{number:02}": 0.5 for number in range(60)} | {"val_accuracy": 0.75, "n" * 101: 1.0}
    classes = [f"class {number}" for number in range(500)]

    fitted = fitted_labels(
        {"run_id": "r", "git_commit": None}, {"classes": classes, "torch": "2", "data": None}, metrics
    )

    tags, properties = fitted.labels.tags, fitted.labels.properties
    assert (len(tags), tags["val_accuracy"], "git_commit" in tags) == (50, "0.75", False)
    assert set(fitted.left_out) == {*metrics} - {*tags}
    assert (len(properties["classes"]), properties["classes"][-3:]) == (1000, "...")
    assert (fitted.shortened, properties["torch"], properties["run_id"]) == (("classes",), "2", "r")
