"""``hparams.yaml``: values of any kind become plain ones, and no fit changes what another one has logged."""

import argparse
import collections
import dataclasses
import datetime
import enum
import functools
import math
import types
import typing
import uuid
from decimal import Decimal
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

import jsonargparse
import numpy as np
import pytest
import torch
import yaml

from lightning_app.azureml.hyperparameters import merge_hyperparameters
from lightning_app.azureml.plain_objects import LONGEST_TEXT, MOST_VALUES, to_plain
from lightning_app.azureml_logger import AzureMLRunLogger
from tests.lightning_app.test_azureml_logger import run_script
from tests.support.jobs import Job


class Mode(str, enum.Enum):
    FAST = "fast"


class Level(enum.IntEnum):
    HIGH = 3


class Optimizer(enum.Enum):
    SGD = enum.auto()
    ADAM = "adam"


class Parts(enum.Flag):
    HEAD = 1
    BODY = 2


class Text(str):
    def __str__(self) -> str:
        return "another text"


class Whole(int):
    pass


class Number(float):
    pass


@dataclasses.dataclass
class Schedule:
    warmup: int = 5
    inner: Any = None


class Point(typing.NamedTuple):
    x: int
    y: Any


class Settings:
    """Without a ``repr``."""

    def __init__(self) -> None:
        self.rate, self.name = 0.1, "fast"


class Attributes:
    """As the library attrs makes them."""

    __attrs_attrs__ = (types.SimpleNamespace(name="rate"), types.SimpleNamespace(name="_hidden"))
    rate, _hidden = 0.5, Optimizer.SGD


class Unprintable:
    def __repr__(self) -> str:
        raise RuntimeError("no text")


class Unreadable(collections.UserDict[str, int]):
    def __iter__(self) -> typing.NoReturn:
        raise OSError("the file is gone")


def holding_itself() -> list[Any]:
    values: list[Any] = [1]
    values.append({"again": values})
    return values


HERE = __name__
VALUES: dict[str, tuple[Any, Any]] = {
    "numpy float": (np.float64(0.1), 0.1),
    "numpy single": (np.float32(0.5), 0.5),
    "numpy integer": (np.int64(2**62), 2**62),
    "numpy bool": (np.bool_(True), True),
    "numpy text": (np.str_("a"), "a"),
    "numpy bytes": (np.bytes_(b"a"), "a"),
    "numpy complex": (np.complex64(1 + 2j), "(1+2j)"),
    "long double": (np.longdouble("1.5"), "1.5"),
    "numpy date": (np.datetime64("2024-01-02"), "2024-01-02"),
    "nanoseconds": (np.datetime64("2024-01-02T00:00:00.000000001"), "2024-01-02T00:00:00.000000001"),
    "numpy duration": (np.timedelta64(5, "D"), "5 days"),
    "TorchVersion": (torch.__version__, torch.__version__[:]),
    "text subclass": (Text("a"), "a"),
    "int subclass": (Whole(3), 3),
    "float subclass": (Number(0.5), 0.5),
    "text enum": (Mode.FAST, "fast"),
    "number enum": (Level.HIGH, 3),
    "enum": (Optimizer.SGD, "SGD"),
    "enum of texts": (Optimizer.ADAM, "adam"),
    "flags": (Parts.HEAD | Parts.BODY, (Parts.HEAD | Parts.BODY).name or str(Parts.HEAD | Parts.BODY)),
    "dataclass": (Schedule(inner=Schedule(1)), {"warmup": 5, "inner": {"warmup": 1, "inner": None}}),
    "named tuple": (Point(1, Mode.FAST), {"x": 1, "y": "fast"}),
    "attrs": (Attributes(), {"rate": 0.5, "_hidden": "SGD"}),
    "namespace": (argparse.Namespace(a=argparse.Namespace(b=1)), {"a": {"b": 1}}),
    "jsonargparse": (jsonargparse.Namespace(a=jsonargparse.Namespace(b=1)), {"a": {"b": 1}}),
    "simple namespace": (types.SimpleNamespace(a=1), {"a": 1}),
    "dtype": (torch.bfloat16, "torch.bfloat16"),
    "numpy dtype": (np.dtype("float32"), "float32"),
    "device": (torch.device("cuda", 1), "cuda:1"),
    "size": (torch.Size([1, 2]), [1, 2]),
    "date": (datetime.date(2024, 1, 2), "2024-01-02"),
    "time": (datetime.datetime(2024, 1, 2, 3, tzinfo=datetime.timezone.utc), "2024-01-02T03:00:00+00:00"),
    "duration": (datetime.timedelta(days=1), "1 day, 0:00:00"),
    "path": (PurePosixPath("a/b"), "a/b"),
    "uuid": (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    "bytes": (b"a", "a"),
    "binary": (b"\xff", "0xff"),
    "decimal": (Decimal("0.1"), 0.1),
    "exact decimal": (Decimal("0.10000000000000000000001"), "0.10000000000000000000001"),
    "fraction": (Fraction(1, 3), "1/3"),
    "complex": (1 + 2j, "(1+2j)"),
    "infinite": (-math.inf, -math.inf),
    "array": (np.arange(4.0).reshape(2, 2), [[0.0, 1.0], [2.0, 3.0]]),
    "array of none": (np.array(5), 5),
    "array of dates": (np.array(["2024-01-02"], "datetime64[ns]"), ["2024-01-02T00:00:00.000000000"]),
    "tensor": (torch.tensor(0.5), 0.5),
    "parameter": (torch.nn.Parameter(torch.ones(2, dtype=torch.bfloat16)), [1.0, 1.0]),
    "sparse tensor": (torch.eye(2).to_sparse(), [[1.0, 0.0], [0.0, 1.0]]),
    "tensor without values": (torch.ones(2, device="meta"), "tensor of shape (2,) and type float32"),
    "large tensor": (torch.zeros(3000, 1000), "tensor of shape (3000, 1000) and type float32"),
    "set": ({"c", "a", None, "b"}, [None, "a", "b", "c"]),
    "set of tuples": (frozenset({(2, 1), (1, 2)}), [[1, 2], [2, 1]]),
    "deque": (collections.deque([1, 2]), [1, 2]),
    "range": (range(10**9), "range(0, 1000000000)"),
    "function": (torch.nn.functional.relu, "torch.nn.functional.relu"),
    "builtin": (len, "len"),
    "partial": (functools.partial(torch.optim.SGD, lr=0.1, foreach=None), "torch.optim.sgd.SGD(lr=0.1, foreach=None)"),
    "class": (torch.nn.ReLU, "torch.nn.modules.activation.ReLU"),
    "type": (list[int], "list[int]"),
    "optional": (typing.Optional[int], "typing.Optional[int]"),  # noqa: UP045  the older form is a class of its own
    "module": (math, "math"),
    "layer": (torch.nn.ReLU(), "torch.nn.modules.activation.ReLU"),
    "layer with settings": (
        torch.nn.Linear(2, 3),
        "torch.nn.modules.linear.Linear(in_features=2, out_features=3, bias=True)",
    ),
    "object": (object(), "object"),
    "object with settings": (Settings(), f"{HERE}.Settings(rate=0.1, name=fast)"),
    "object without text": (Unprintable(), f"{HERE}.Unprintable"),
    "mapping that fails": (Unreadable(a=1), f"{HERE}.Unreadable"),
    "names": ({1: "a", None: "b", (1, 2): "c", Mode.FAST: "d"}, {1: "a", None: "b", "[1, 2]": "c", "fast": "d"}),
    "names that become equal": ({Optimizer.SGD: 1, "SGD": 2}, {"SGD": 1, "SGD (2)": 2}),
    "holding itself": (holding_itself(), [1, {"again": "..."}]),
    "wide number": (10**5000, hex(10**5000)),
    "odd text": ("a\udc80\x00\u2028é\U0001f600", "a\udc80\x00\u2028é\U0001f600"),
    "text like a number": (["1e-3", "yes", "null", "2024-01-02", "~", "", "- a: b"],) * 2,
    "generator": ((number for number in "a"), "generator"),
}


def hparams(folder: Path) -> Any:
    return yaml.safe_load((folder / "hparams.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def logger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AzureMLRunLogger:
    monkeypatch.delenv("AZUREML_RUN_ID", raising=False)
    return AzureMLRunLogger(tmp_path)


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_of_any_kind_becomes_plain(logger: AzureMLRunLogger, tmp_path: Path, kind: str) -> None:
    value, plain = VALUES[kind]

    logger.log_hyperparams({"value": value, "nested": {"list": [value]}})

    # by repr, 1, 1.0 and True differ, and so do subclasses from their bases
    assert repr(hparams(tmp_path)) == repr({"value": plain, "nested": {"list": [plain]}})


def test_nan_stays_itself_and_is_no_change(logger: AzureMLRunLogger, tmp_path: Path) -> None:
    for _ in range(2):
        logger.log_hyperparams({"rate": math.nan})

    assert repr(hparams(tmp_path)) == "{'rate': nan}"


def test_huge_values_are_shortened_and_say_so() -> None:
    text = to_plain("x" * (LONGEST_TEXT + 5))
    values = to_plain(list(range(MOST_VALUES + 1000)))
    names = to_plain({"many": {str(number): number for number in range(MOST_VALUES + 1000)}})["many"]

    assert text.endswith("x... 5 more characters")
    assert values[:3] == [0, 1, 2]
    assert values[-1] == f"... {MOST_VALUES + 1000 - (len(values) - 1):,} more"
    assert list(names)[-1] == "..."
    assert len(names) <= MOST_VALUES


def test_nesting_of_any_depth_is_readable(logger: AzureMLRunLogger, tmp_path: Path) -> None:
    value: list[Any] = []
    for _ in range(2000):
        value = [value]

    logger.log_hyperparams({"deep": value})

    assert str(hparams(tmp_path)["deep"]).startswith("[[[[")


@pytest.mark.parametrize(
    "params",
    [
        {"rate": 0.1, "layers": {"sizes": (1, 2)}},
        argparse.Namespace(rate=0.1, layers=argparse.Namespace(sizes=[1, 2])),
        types.SimpleNamespace(rate=np.float64(0.1), layers={"sizes": np.array([1, 2])}),
        dataclasses.make_dataclass("Made", ["rate", "layers"])(0.1, {"sizes": [1, 2]}),
    ],
    ids=["dict", "Namespace", "SimpleNamespace", "dataclass"],
)
def test_hyperparameters_are_given_in_any_form(logger: AzureMLRunLogger, tmp_path: Path, params: Any) -> None:
    logger.log_hyperparams(params)

    assert hparams(tmp_path) == {"rate": 0.1, "layers": {"sizes": [1, 2]}}


def test_hyperparameters_are_given_by_name_too(logger: AzureMLRunLogger, tmp_path: Path) -> None:
    logger.log_hyperparams()
    logger.log_hyperparams(None)
    logger.log_hyperparams({"rate": 0.1}, momentum=0.9, _own="kept", _class_path="models.CifarNet")

    assert hparams(tmp_path) == {"rate": 0.1, "momentum": 0.9, "_own": "kept"}


def test_metrics_beside_hyperparameters_are_logged(logger: AzureMLRunLogger, tmp_path: Path) -> None:
    logger.log_hyperparams({"rate": 0.1}, {"score": 0.5}, step=3)

    assert '"step": 3, "metrics": {"score": 0.5}' in (tmp_path / "metrics.jsonl").read_text()
    assert hparams(tmp_path) == {"rate": 0.1}


@pytest.mark.parametrize("params", ["text", 3, [("rate", 0.1)]])
def test_hyperparameters_without_names_are_refused(logger: AzureMLRunLogger, tmp_path: Path, params: Any) -> None:
    with pytest.raises(TypeError, match=r"^log_hyperparams: got \w+; expected a dict, a Namespace or a dataclass"):
        logger.log_hyperparams(params)

    assert list(tmp_path.iterdir()) == []


def test_a_second_fit_changes_nothing_of_the_first(logger: AzureMLRunLogger, tmp_path: Path) -> None:
    logger.log_hyperparams({"rate": 0.1, "net": "small"})
    logger.log_hyperparams({"rate": 0.2, "net": "small"})
    logger.log_hyperparams({"rate": 0.3, "net": "small"})
    logger.log_hyperparams({"seed": 1})

    assert hparams(tmp_path) == {
        "rate": 0.1,
        "net": "small",
        "seed": 1,
        "hparams_2": {"rate": 0.2, "net": "small"},
        "hparams_3": {"rate": 0.3, "net": "small"},
    }
    assert list(hparams(tmp_path))[:3] == ["rate", "net", "seed"]


def test_a_run_that_is_resumed_logs_nothing_new(tmp_path: Path) -> None:
    folds = [{"rate": rate, "net": "small"} for rate in (0.1, 0.2, 0.3)]
    for fold in folds:
        AzureMLRunLogger(tmp_path).log_hyperparams(fold)
    before = (tmp_path / "hparams.yaml").read_bytes()

    for fold in folds:
        AzureMLRunLogger(tmp_path).log_hyperparams(fold)

    assert (tmp_path / "hparams.yaml").read_bytes() == before


def test_a_later_call_of_a_second_fit_goes_to_its_section(tmp_path: Path) -> None:
    path = tmp_path / "hparams.yaml"
    for params in ({"a": 1, "b": 1}, {"a": 2}, {"a": 2, "c": 3}, {"b": 5}):
        merge_hyperparameters(path, params)

    assert hparams(tmp_path) == {"a": 1, "b": 1, "hparams_2": {"a": 2, "c": 3}, "hparams_3": {"b": 5}}


@pytest.mark.parametrize("content", ["a: [", "- 1\n", "\x00", "text"])
def test_a_file_that_is_no_yaml_mapping_is_kept_aside(
    logger: AzureMLRunLogger, tmp_path: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "hparams.yaml").write_text(content)

    logger.log_hyperparams({"rate": 0.1})

    assert hparams(tmp_path) == {"rate": 0.1}
    assert (tmp_path / "hparams.unreadable.yaml").read_text() == content
    assert [record.getMessage().partition(" can't be read")[2] for record in caplog.records] == [
        " as YAML; it is kept as hparams.unreadable.yaml, and a new file is begun."
    ]


def test_tags_follow_the_hyperparameters_of_each_fit(job: Job) -> None:
    outcome = run_script(
        job,
        """
        import numpy as np, torch
        logger.log_hyperparams({"rate": np.float64(0.1), "version": torch.__version__, "layers": {"sizes": (1, 2)}})
        logger.log_hyperparams({"rate": np.float64(0.2), "layers": {"sizes": (1, 2)}})
        """,
    )

    assert (outcome.status, outcome.err) == (0, "")
    assert job.service.run(job.run_id).tags == {
        "rate": "0.1",
        "version": str(torch.__version__),
        "layers.sizes": "[1, 2]",
        "hparams_2.rate": "0.2",
        "hparams_2.layers.sizes": "[1, 2]",
        "metrics_folder": "outputs",
    }
