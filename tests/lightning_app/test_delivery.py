"""What the sender is made of: names, rows, the delivery_log, tags."""

import json
from datetime import datetime
from pathlib import Path

from lightning_app.azureml import service_limits
from lightning_app.azureml.batches import JournalReader, make_batches
from lightning_app.azureml.delivery_log import DeliveryLog, count_undelivered
from lightning_app.azureml.journal_identity import JournalIdentity
from lightning_app.azureml.json_lines import complete_last_line
from lightning_app.azureml.labels import fit_tags, to_tags
from lightning_app.azureml.metric_names import DEFAULT_PRIORITY, RESERVED, MetricNames
from lightning_app.azureml.metric_value import scalar_value
from lightning_app.run_folder import RunFolder

JOURNAL = JournalIdentity("run/outputs#1", 1, "run", 0, "outputs", "outputs")


def named(priority: tuple[str, ...] = DEFAULT_PRIORITY) -> tuple[MetricNames, dict[str, str | None]]:
    noted: dict[str, str | None] = {}
    return MetricNames(priority, {}, noted.__setitem__), noted


def test_the_last_names_are_reserved_for_those_with_priority() -> None:
    names, noted = named()

    others = [names.service_name(f"other{number}") for number in range(60)]
    first = [names.service_name(f"val_{number}") for number in range(20)]

    assert sum(name is not None for name in others) == service_limits.METRIC_NAMES - RESERVED
    assert sum(name is not None for name in first) == RESERVED
    assert len(noted) == 80


def test_the_users_patterns_decide() -> None:
    names, _ = named(("other5?",))

    assert [number for number in range(60) if names.service_name(f"other{number}")] == [*range(40), *range(50, 60)]


def test_names_of_an_earlier_sender_are_kept() -> None:
    names = MetricNames((), {"late": None, "early ": "early"}, lambda *_: None)

    assert names.service_name("late") is None
    assert names.service_name("early ") == "early"
    assert names.unassigned == ["late"]


def test_two_metrics_never_share_a_service_name() -> None:
    names, _ = named()
    long = "v" * 400

    spelled = [names.service_name(name) for name in ("loss", "loss ", long, long + "w", " ")]

    assert spelled[0] == "loss"
    assert len(set(spelled)) == 5
    assert all(name is not None and 0 < len(name) <= service_limits.TEXT and name == name.strip() for name in spelled)


def test_names_that_look_alike_stay_different() -> None:
    names, _ = named()
    alike = ["loss", "Loss", "LOSS ", "\u00e9", "e\u0301", "_loss"]

    spelled = [names.service_name(name) for name in alike]

    assert (spelled[0], spelled[3], spelled[5]) == ("loss", "\u00e9", "_loss")
    assert len({str(name).casefold() for name in spelled}) == len(alike)


def test_another_folder_has_its_own_names_and_shares_the_number_of_names() -> None:
    theirs = ["fold2/loss", *(f"metric{number}" for number in range(47))]
    names = MetricNames(DEFAULT_PRIORITY, {}, lambda *_: None, "fold2/", theirs)

    assert names.service_name("val_loss") == "fold2/val_loss"
    assert names.service_name("loss", priority=True) not in (None, "fold2/loss")
    assert names.service_name("test_loss") is None


def test_the_reader_returns_complete_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    written = [{"step": step, "metrics": {"a": 1}} for step in range(3)]
    first, second, third = (json.dumps(row) + "\n" for row in written)
    rows = [row | {"milliseconds": 0} for row in written]  # they have no time
    tail = JournalReader(path)
    assert tail.read(10) == []

    path.write_text(first + second + third[:5])
    assert (tail.read(1), tail.read(10), tail.read(10)) == ([rows[0]], [rows[1]], [])
    with path.open("a") as file:
        file.write(third[5:])

    assert (tail.read(10), tail.next_row) == ([rows[2]], 3)


def test_the_reader_counts_a_line_that_is_no_row(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text('hello\n{"step": 7, "metrics": {"a": 1}}\n')
    tail = JournalReader(path)

    assert [row["metrics"] for row in tail.read(10)] == [{}, {"a": 1}]
    assert (tail.next_row, tail.foreign_lines) == (2, [(0, b"hello\n")])


def test_requests_hold_whole_rows_and_no_more_values_than_the_service_accepts() -> None:
    names, _ = named()
    rows = [{"step": step, "metrics": {"a": 1.0, "b": "NaN", "c": 2, "d": 3.0}} for step in range(100)]

    found = list(make_batches(rows, 1000, names, JOURNAL))

    assert [(len(batch.values), batch.end) for batch in found] == [(249, 1083), (51, 1100)]
    assert {type(value.data[value.service_name]) for batch in found for value in batch.values} == {float}


def test_rows_without_a_value_to_send_are_acknowledged_too() -> None:
    names, _ = named()

    assert [
        (batch.values, batch.end) for batch in make_batches([{"step": 0, "metrics": {"a": "NaN"}}], 0, names, JOURNAL)
    ] == [([], 1)]
    assert list(make_batches([], 0, names, JOURNAL)) == []


def test_the_id_of_a_value_depends_on_run_row_name_and_step() -> None:
    def id_of(run: str = "run", name: str = "a", row: int = 3, step: int = 5, value: float = 1.0) -> str:
        return scalar_value(name, name, f"journal/{row}", step, value).metric_id(run)

    assert id_of(value=1.5) == id_of()
    assert len({id_of(), id_of("run2"), id_of(name="b"), id_of(row=4), id_of(step=6)}) == 5


def test_a_value_has_the_number_of_its_row_in_the_run_and_its_time() -> None:
    names, _ = named()
    logged = "2026-11-25T14:20:31.123+00:00"
    continued = JournalIdentity("run/outputs#1", 1, "run", 500, "outputs", "outputs")

    (batch,) = make_batches([{"step": 5, "metrics": {"a": 1}, "time": logged}], 2, names, continued)

    assert batch.values == [scalar_value("a", "a", "run/outputs#1/502", 5, 1, datetime.fromisoformat(logged))]


def test_the_delivery_log_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "delivery.jsonl"
    delivery_log = DeliveryLog.read(path, "run")
    assert (delivery_log.begun, delivery_log.acknowledged) == (False, 0)

    delivery_log.begin(service_had_metrics=True)
    delivery_log.sending(5)
    delivery_log.sent(5, {"b": "bad"})
    delivery_log.sending(9)
    delivery_log.named("a", None)
    delivery_log.chart("c.json", "sending")
    delivery_log.tagged({"x": "1"})
    assert (delivery_log.first_notification("once"), delivery_log.first_notification("once")) == (True, False)

    assert DeliveryLog.read(path, "run") == delivery_log
    assert (delivery_log.acknowledged, delivery_log.unconfirmed, delivery_log.refused) == (5, True, {"b": [(0, 5)]})
    assert DeliveryLog.read(path, "another") == DeliveryLog(path, "another")


def test_a_delivery_log_with_a_torn_last_line_can_be_continued(tmp_path: Path) -> None:
    path = tmp_path / "delivery.jsonl"
    delivery_log = DeliveryLog.read(path, "run")
    delivery_log.begin(service_had_metrics=False)
    delivery_log.sent(3, {})
    with path.open("a") as file:
        file.write('{"sent": 9')

    found = DeliveryLog.read(path, "run")
    complete_last_line(path)
    found.sent(4, {})

    assert found.acknowledged == 4
    assert DeliveryLog.read(path, "run") == found
    assert [json.loads(line) for line in path.read_text().splitlines()][-1] == {"sent": 4}


def test_undelivered_counts_new_and_refused_rows(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.journal.write_text('{"step": 0, "metrics": {"a": 1}}\n' * 10)
    delivery_log = DeliveryLog.read(folder.delivery_log, "run")
    delivery_log.begin(service_had_metrics=False)
    delivery_log.sent(3, {})
    delivery_log.sent(6, {"a": "bad"})

    assert str(count_undelivered(folder, "run")) == "7 of 10 rows"
    assert str(count_undelivered(folder, "another")) == "10 of 10 rows"
    delivery_log.recovered("a")
    delivery_log.sent(10, {})
    assert not count_undelivered(folder, "run")


def test_tags_are_flat_short_and_as_many_as_fit() -> None:
    tags = to_tags({"a": {"b": 1, "c": {}}, "n" * 150: "x" * 2000, "none": None})

    assert list(tags.items())[:2] == [("a.b", "1"), ("a.c", "{}")]
    assert {len(name) for name in tags} == {3, service_limits.TAG_NAME, 4}
    assert max(map(len, tags.values())) == service_limits.TAG_VALUE
    assert fit_tags(tags, {f"theirs{number}": "" for number in range(48)}) == {"a.b": "1", "a.c": "{}"}
    assert fit_tags({"a": "1"}, {"a": "0"} | {f"theirs{number}": "" for number in range(49)}) == {"a": "1"}
