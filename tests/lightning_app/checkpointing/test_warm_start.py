"""``--init_from``: which weights are taken from a file, and what becomes of the run that began with them."""

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lightning_app.checkpointing.resume import plan_resume
from lightning_app.checkpointing.resume_plan import ResumePlan
from lightning_app.checkpointing.sidecar import file_hash
from lightning_app.checkpointing.warm_start import WarmStart, match, read_weights, require_some_fit
from lightning_app.errors import UsageError
from lightning_app.run_folder import RunFolder
from models import CifarNet
from tests.lightning_app.checkpointing.test_candidates import CONFIG, Hostile
from tests.support.checkpoint_files import damage, write
from tests.support.commands import command_line, environment
from tests.support.images import make_cifar10, make_image_folder
from tests.support.in_process import run_in_process


def network(classes: int = 10) -> CifarNet:
    return CifarNet(classes=[str(number) for number in range(classes)])


def weights(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def save(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


def in_other_words(state: dict[str, Tensor], beginning: str) -> dict[str, Tensor]:
    return {beginning + name.removeprefix("network."): value for name, value in state.items()}


@pytest.mark.parametrize("beginning", ["network.", "", "model.", "module.model.network.", "net."])
def test_other_programs_call_the_same_network_otherwise(beginning: str) -> None:
    state = weights(network())

    found = match(state, in_other_words(state, beginning))

    assert found.taken == {name: beginning + name.removeprefix("network.") for name in state}
    assert str(found) == f"{len(state)} of {len(state)} tensors taken"


def test_a_head_for_other_classes_stays_new_and_is_named() -> None:
    state = weights(network(10))
    head = {name: value for name, value in state.items() if 10 in value.shape}

    found = match(weights(network(3)), state | {"extra.weight": torch.zeros(2), "extra.bias": torch.zeros(2)})

    assert set(found.taken) == state.keys() - head.keys()
    assert found.other_shape.keys() == head.keys()
    text = str(found)
    assert f"{len(state) - len(head)} of {len(state)} tensors taken; of another shape, so new: " in text
    assert "(10,) in the file, (3,) here" in text
    assert text.endswith("; only in the file: extra.weight, extra.bias")


def test_missing_tensors_are_named() -> None:
    state = weights(network())
    *names, last = state

    assert str(match(state, {name: state[name] for name in names})) == (
        f"{len(names)} of {len(state)} tensors taken; not in the file, so new: {last}"
    )


@pytest.mark.parametrize("wrap", [
    lambda state: state,
    lambda state: {"state_dict": state, "pytorch-lightning_version": "1.9", "epoch": 3, "global_step": 7},
    lambda state: {"model": state, "optimizer": {"lr": 0.1}},
    lambda state: {"model_state_dict": state, "epoch": 3},
])  # fmt: skip
def test_weights_are_found_in_the_files_of_many_programs(tmp_path: Path, wrap: Any) -> None:
    state = weights(network())

    found = read_weights(save(tmp_path / "weights.pt", wrap(state)))

    assert found.keys() == state.keys()
    assert all(torch.equal(value, found[name]) for name, value in state.items())


def test_what_cannot_be_used_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    cut = save(Path("cut.pt"), weights(network()))
    os.truncate(cut, 1000)
    cases = {
        "nowhere.pt": "no such file; expected a checkpoint of Lightning or a state_dict of torch",
        "cut.pt": r"can't be read \(it is truncated, or not a checkpoint\)",
        str(save(Path("hostile.pt"), {"a": Hostile()})): "it holds something other than tensors and plain values",
        str(save(Path("empty.pt"), {"a": 1})): "no weights in it",
        str(save(Path("list.pt"), [torch.zeros(1)])): "no weights in it",
        str(save(Path("other.pt"), {"layer.weight": torch.zeros(2, 2)})): r"nothing in it fits CifarNet: 0 of \d+",
    }  # fmt: skip

    for name, message in cases.items():
        with pytest.raises(UsageError, match=rf"^--init_from '{name}': .*{message}"):
            require_some_fit(network(), Path(name))
    assert not Path("unpickled").exists()


class Late(pl.LightningModule):
    """Makes its layers when it is asked to."""

    def configure_model(self) -> None:
        if not hasattr(self, "layer"):
            self.layer = nn.Linear(3, 2)

    def training_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        return self.layer(batch[0]).sum() * 0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.0)


def late_trainer(*callbacks: pl.Callback, epochs: int = 1) -> pl.Trainer:
    return pl.Trainer(
        max_epochs=epochs, callbacks=[*callbacks], logger=False, enable_checkpointing=False, accelerator="cpu",
        enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


def test_layers_that_come_later_get_their_weights_unless_the_run_continues(tmp_path: Path) -> None:
    given = {"layer.weight": torch.ones(2, 3), "layer.bias": torch.ones(2)}
    model, start = Late(), WarmStart(save(tmp_path / "w.pt", given))
    require_some_fit(model, tmp_path / "w.pt")
    data = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.rand(4, 3)), batch_size=2)
    trainer = late_trainer(start)

    trainer.fit(model, data)

    assert all(torch.equal(model.state_dict()[name], value) for name, value in given.items())
    assert start.state_dict() == {"sha256": file_hash(tmp_path / "w.pt")}
    with torch.no_grad():
        model.layer.weight.zero_()
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    continued, again = Late(), WarmStart(tmp_path / "w.pt")
    late_trainer(again, epochs=2).fit(continued, data, ckpt_path=tmp_path / "last.ckpt")
    assert torch.equal(continued.layer.weight, torch.zeros(2, 3))
    assert again.state_dict() == start.state_dict()


def began_with(path: Path) -> dict[str, Any]:
    return {"callbacks": {"WarmStart": {"sha256": file_hash(path)}}}


def test_the_same_command_continues_also_without_the_file_and_under_another_path(tmp_path: Path) -> None:
    folder, path = RunFolder(tmp_path / "run"), save(tmp_path / "a.pt", {"w": torch.ones(1)})
    write(folder.last, 2, **began_with(path))
    folder.config.write_text(str(CONFIG | {"init_from": str(path)}))
    expected = ResumePlan(folder.last, epochs_done=2, steps_done=20)

    assert plan_resume(folder, "auto", CONFIG | {"init_from": str(path)}) == expected
    moved = path.rename(tmp_path / "b.pt")
    for name in (path, moved):
        assert plan_resume(folder, "auto", CONFIG | {"init_from": str(name)}) == expected


def test_other_weights_or_none_make_another_run(tmp_path: Path) -> None:
    folder, path = RunFolder(tmp_path / "run"), save(tmp_path / "a.pt", {"w": torch.ones(1)})
    write(folder.last, 2, **began_with(path))
    folder.config.write_text(str(CONFIG | {"init_from": str(path)}))
    other = save(tmp_path / "b.pt", {"w": torch.zeros(1)})

    with pytest.raises(
        UsageError, match=r"other settings \(--init_from '.*b\.pt' has other weights than those that it"
    ):
        plan_resume(folder, "auto", CONFIG | {"init_from": str(other)})
    with pytest.raises(UsageError, match=r"other settings \(--init_from was given, now None\)"):
        plan_resume(folder, "auto", CONFIG)
    finished = CONFIG | {"trainer": {"max_epochs": 2}}
    folder.config.write_text(str(finished | {"init_from": str(path)}))
    assert plan_resume(folder, "auto", finished | {"init_from": str(other)}).archive_previous


def test_a_run_begins_with_the_weights_and_goes_on_with_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make_cifar10(Path("images"))
    fit = ("fit", "--data_path", "images", "--batch_size", "20", "--num_epochs")
    assert run_in_process(*fit, "1", "--output_dir", "first").status == 0
    first = "first/checkpoints/last.ckpt"

    begun = run_in_process(*fit, "1", "--init_from", first, "--learning_rate", "1e-30", "--output_dir", "r")
    more = run_in_process(*fit, "2", "--init_from", first, "--learning_rate", "1e-30", "--output_dir", "r")
    both = run_in_process(*fit, "2", "--init_from", first, "--resume", "first", "--output_dir", "s")
    never = run_in_process(*fit, "1", "--init_from", first, "--resume", "never", "--output_dir", "r")

    assert (begun.status, begun.err) == (0, "")
    assert f"Weights from {first}: 10 of 10 tensors taken." in begun.out
    expected = torch.load(first, weights_only=True)["state_dict"]
    found = torch.load("r/previous/001/checkpoints/last.ckpt", weights_only=True)
    assert all(torch.equal(value, found["state_dict"][name]) for name, value in expected.items())
    assert "Continuing from r/checkpoints/last.ckpt, after 1 epoch and 10 steps." in more.out
    assert "Weights from" not in more.out
    assert found["callbacks"]["WarmStart"] == {"sha256": file_hash(Path(first))}
    assert both.status == 2
    assert both.err == (
        f"error: --init_from '{first}' and --resume 'first': give one of them; --init_from begins a run with weights, "
        "--resume continues one\n"
    )
    assert "Weights from" in never.out


@pytest.mark.slow
def test_another_number_of_classes_leaves_the_head_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_image_folder(Path("photos"))
    flags = ("--model", "ResNetTransfer", "--model.weights", "none", "--data_path", "photos", "--num_epochs", "1")
    assert run_in_process("fit", *flags, "--data.image_size", "32", "--output_dir", "first").status == 0
    for split in ("train", "val"):
        (Path("photos") / split / "third").mkdir()
        source = next((Path("photos") / split / "dark").iterdir())
        (Path("photos") / split / "third" / "a.jpg").write_bytes(source.read_bytes())

    outcome = run_in_process(
        "fit", *flags, "--data.image_size", "32", "--init_from", "first/checkpoints/last.ckpt", "--output_dir", "second"
    )

    assert (outcome.status, outcome.err) == (0, "")
    assert "120 of 122 tensors taken; of another shape, so new: network.fc.weight ((2, 512) in the file" in outcome.out


@pytest.mark.slow
def test_all_processes_begin_with_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make_cifar10(Path("images"))
    path = save(Path("w.pt"), weights(network()))
    flags = ["--data_path", "images", "--num_epochs", "1", "--learning_rate", "1e-30", "--trainer.devices", "2"]

    done = subprocess.run(
        command_line("fit", *flags, "--trainer.accelerator", "cpu", "--init_from", "w.pt"),
        env=environment(), capture_output=True, text=True, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = torch.load("outputs/checkpoints/last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, found[name]) for name, value in torch.load(path, weights_only=True).items())


def test_a_damaged_file_is_noticed_by_its_checksums(tmp_path: Path) -> None:
    path = write(tmp_path / "last.ckpt", 2)
    damage(path, "flipped, no sidecar")

    with pytest.raises(UsageError, match=r"can't be read \(it is damaged: its checksum is wrong\)"):
        read_weights(path)
