"""The report of runs: what it shows, of damaged folders as well, and that no name in it is taken for HTML."""

import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest

from lightning_app.main import main
from lightning_app.report.command import write_report
from lightning_app.report.line_chart import line_chart
from lightning_app.report.run_content import Series
from tests.support.commands import Command
from tests.support.in_process import run_in_process
from tests.support.reported_runs import ATTRIBUTE, CLASSES, HOSTILE, make_run

LARGEST = 400_000  # bytes, of a report with a picture


class Page(HTMLParser):
    """The texts of a page, its elements and their attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    return make_run(folder / "run")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "run"))


def report(*folders: Path) -> Page:
    file = folders[0].parent / "page.html"
    write_report(folders, file)
    return Page(file.read_text(encoding="utf-8"))


def test_the_report_of_a_run_shows_all_of_it(folder: Path) -> None:
    page = report(folder)

    text = page.text
    evaluation = json.loads((folder / "test_metrics.json").read_text())
    accuracy = evaluation["accuracy"]
    assert f"{accuracy['value']:.4f} (95 %: {accuracy['low']:.4f} to {accuracy['high']:.4f})" in text
    for row in evaluation["classes"]:
        assert f"{row['class']} {row['precision']:.4f} {row['recall']:.4f}".replace("  ", " ") in text
    for expected in ("trained and tested", "3 epochs, 60 steps", "1,234 images a second", "10 s", "CPU, 1 thread"):
        assert expected in text
    assert "preparation 1 s (8.3 %)" in text
    assert "model.learning_rate 0.1" in text
    assert page.tags.count("svg") == 5  # loss, accuracy, learning rate, the hostile name, calibration
    assert sum(value.startswith("data:image/webp") for name, value in page.attributes if name == "src") == 1


def test_names_are_shown_as_text(folder: Path) -> None:
    page = report(folder)

    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    for name in CLASSES:
        assert " ".join(name.split()) in page.text
    assert f"python -m lightning_app.fit '{HOSTILE}'".replace("'harmed'", "'\"'\"'harmed'\"'\"'") in page.text
    assert ATTRIBUTE in page.text


def test_the_report_is_small_and_refers_to_nothing(folder: Path) -> None:
    page = report(folder)

    assert (folder.parent / "page.html").stat().st_size < LARGEST
    addresses = [value for name, value in page.attributes if name in ("src", "href", "action", "data", "srcset")]
    assert addresses
    assert all(address.startswith(("#", "data:")) for address in addresses)
    text = (folder.parent / "page.html").read_text()
    assert not re.search(r"url\(|@import|<iframe|<object", text)
    assert "default-src 'none'" in text


def test_several_runs_are_compared(folder: Path, tmp_path: Path) -> None:
    other = make_run(tmp_path / "other", learning_rate=0.2)

    page = report(folder, other)

    assert "2 runs compared" in page.text
    assert "model.learning_rate 0.1 0.2" in page.text
    assert "model.class_path" not in page.text.partition("What differs")[2].partition(str(folder))[0]
    assert page.tags.count("figure") == 5 + 2  # each metric with several values; the calibration of each run


def test_the_command_writes_the_report_into_the_run_folder(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["report", str(folder)])

    assert re.fullmatch(rf"Report: {folder}/report.html \(\d+ kB\)\n", capsys.readouterr().out)
    assert (folder / "report.html").read_text().startswith("<!doctype html>")
    main(["report", str(folder)])  # again


def test_a_folder_without_a_run_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    Path("report.html").write_text("my own")

    empty = run_in_process("report", "run", "empty")
    own = run_in_process("report", "run", str(folder))
    unwritable = run_in_process("report", "run", "--output", "report.html/x.html")

    assert (empty.status, empty.err) == (
        2, "error: report 'empty': no run in it; expected the folder of a run, such as outputs\n"
    )  # fmt: skip
    assert own.err == "error: 'report.html' exists and isn't a report; give another file by --output\n"
    assert unwritable.status == 2
    assert "'report.html/x.html': can't be written" in unwritable.err
    assert Path("report.html").read_text() == "my own"


DAMAGED = [
    b"", b"{", b"[]", b"\xff\xfe\x00", b"null\n", b'{"classes": [1, {"class": null}], "images": "x"}', b"[" * 5000,
    b'{"step": 1, "metrics": {"loss": "NaN"}}\n', b'{"step": 1, "epoch": 0, "metrics": {"a": 1e308, "b": -1e308}}\n',
    b'{"step": %d, "metrics": {"a": %d}}\n' % (10**400, 10**400), b'{"step": 1, "metrics": {"a": %d}}\n' % 10**400,
    b'{"event": "start", "command": 3, "versions": []}\n{"event": "end", "seconds": "x", "parts": 4}\n',
    b'{"kind": "confusion_matrix", "name": 3, "step": "x", "class_labels": [1, 2], "matrix": [[1, null], ["x", 1e99]]}',
    b'{"kind": "image", "name": "x", "step": 1, "picture": "../../secret.png"}',
    b"a: &a [*a]\n", b"a: &a {b: *a}\n", b"!!python/object:x.y {}",
    b'{"stage": "test", "step": null, "classes": [], "accuracy": {"value": NaN}, "calibration": [{"above": 2}, 3]}',
]  # fmt: skip
FILES = ("metrics.jsonl", "config.yaml", "history.jsonl", "test_metrics.json", "checkpoints/best.json",
         "charts/test_confusion_matrix-step60.json", "charts/test_most_wrong-step60.json",
         "charts/test_most_wrong-step60.png")  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_is_left_out(folder: Path, name: str) -> None:
    for content in DAMAGED:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)

        page = report(folder)

        assert "Where the time went" in page.text


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_left_out(folder: Path, name: str) -> None:
    (folder / name).unlink(missing_ok=True)

    page = report(folder)

    assert ("metrics.jsonl is missing" in page.text) == (name == "metrics.jsonl")


def test_an_unfinished_run_of_an_own_module_has_a_report(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    rows = [{"step": step, "metrics": {"energy": 1 / step, "loss/part": step}} for step in range(1, 4)]
    text = "".join(f"{json.dumps(row)}\n" for row in rows) + '{"step": 4, "metr'
    (tmp_path / "run" / "metrics.jsonl").write_text(text)

    page = report(tmp_path / "run")

    assert "not finished, or its end isn't recorded" in page.text
    assert page.tags.count("svg") == 2
    assert "Results" not in page.text


def test_many_classes_and_metrics_leave_a_small_report(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run", classes=tuple(f"class {number}" for number in range(200)))
    with (folder / "metrics.jsonl").open("a") as file:
        for step in range(61, 3000):
            file.write(
                json.dumps({"step": step, "metrics": {f"m{number}": step * number for number in range(40)}}) + "\n"
            )

    page = report(folder)

    assert (tmp_path / "page.html").stat().st_size < LARGEST
    assert "further metrics are in metrics.jsonl" in page.text
    assert "The matrix of 200 classes has no room here" in page.text
    assert "175 others are in test_metrics.json" in page.text


def test_a_line_keeps_the_extremes_of_many_values_and_breaks_where_there_is_none() -> None:
    values = [1.0] * 10_000
    values[4321], values[7000] = 50.0, float("nan")

    chart = line_chart("loss", {"train": Series(list(range(10_000)), values)}, {})

    assert chart is not None
    (line,) = chart.lines
    assert (line.highest, line.not_finite, line.count) == ("50", 1, 10_000)
    assert line.path.count("M") == 2
    assert len(line.path) < 5000
    heights = [float(y) for y in re.findall(r" ([\d.]+)", line.path)]
    assert min(heights) < 40 < 190 < max(heights)


def test_a_training_writes_its_report_and_its_history(run: Command, cifar10: Path) -> None:
    outcome = run("fit", "--data_path", str(cifar10), "--num_epochs", "1", "--data.val_split", "40")

    assert (outcome.status, outcome.err) == (0, "")
    assert outcome.out.endswith("Report:     outputs/report.html\n")
    start, end, tested = map(json.loads, Path("outputs/history.jsonl").read_text().splitlines())
    assert (start["event"], start["step"], end["event"], end["step"]) == ("start", 0, "end", 40)
    assert end["seconds"] == pytest.approx(sum(end["parts"].values()), abs=0.01)
    assert all(seconds > 0 for seconds in [*end["parts"].values(), tested["parts"]["test"]])
    page = Page(Path("outputs/report.html").read_text())
    assert "Validation accuracy, at the end" in page.text
    assert "data.val_split 40" in page.text


def test_a_report_that_cannot_be_made_does_not_harm_the_run(run: Command, cifar10: Path, tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from pathlib import Path\n"
        "from models import CifarNet\n"
        "class Net(CifarNet):\n"
        "    def on_test_end(self):\n"
        "        Path('outputs/report.html').mkdir()\n"
    )

    outcome = run("fit", "--model", "own.Net", "--data_path", str(cifar10), "--num_epochs", "1", "--data",
                  "CIFAR10DataModule")  # fmt: skip

    assert outcome.status == 0
    assert "No report of the run: UsageError: 'outputs/report.html': can't be written" in outcome.out + outcome.err
