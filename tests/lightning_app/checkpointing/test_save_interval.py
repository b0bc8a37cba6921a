"""``--checkpoint_every``: its values, and the steps at which a save is looked for, with a clock that the test moves."""

from itertools import pairwise

import pytest

from lightning_app.checkpointing.save_interval import SaveInterval, SaveSchedule


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("500", SaveInterval(steps=500)),
        (500, SaveInterval(steps=500)),
        ("1", SaveInterval(steps=1)),
        ("30s", SaveInterval(seconds=30)),
        ("5m", SaveInterval(seconds=300)),
        ("1h", SaveInterval(seconds=3600)),
        ("1.5m", SaveInterval(seconds=90)),
    ],
)
def test_an_interval_is_a_number_of_steps_or_a_time(text: str | int, expected: SaveInterval) -> None:
    assert SaveInterval.parse(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "0", "-5", "0s", "0.5s", "5 minutes", "5d", "1.5", "m", "1e3", "५", "1h30m", "9" * 500, 0],
)
def test_anything_else_is_no_interval(text: str | int) -> None:
    with pytest.raises(ValueError, match="a number of steps such as 500, or a time such as 30s, 5m or 1h"):
        SaveInterval.parse(text)


class Run:
    """Steps of a training, each of which takes a time; a write takes a number of steps."""

    def __init__(self, interval: SaveInterval, write: int = 0) -> None:
        self.time, self.checks, self.saves = 0.0, 0, list[tuple[int, float]]()
        self.schedule, self._written, self._write = SaveSchedule(interval, lambda: self.time), 0, write
        self.step = 1000
        self.next_check = self.schedule.begin(self.step)

    def train(self, seconds_of_steps: list[float]) -> None:
        for seconds in seconds_of_steps:
            self.step, self.time = self.step + 1, self.time + seconds
            if self.step >= self.next_check:
                self.checks += 1
                saves, self.next_check = self.schedule.check(self.step, is_writing=self.step < self._written)
                assert self.next_check > self.step
                if saves:
                    self.saves.append((self.step, self.time))
                    self._written = self.step + self._write


def test_an_interval_of_steps_is_counted_from_the_last_save() -> None:
    run = Run(SaveInterval(steps=500))
    run.train([0.001] * 1200)
    run.schedule.saved(run.step)  # the end of an epoch
    run.train([0.001] * 1200)

    assert [step for step, _ in run.saves] == [1500, 2000, 2700, 3200]
    assert run.checks == 5


def test_a_time_is_met_by_few_checks() -> None:
    run = Run(SaveInterval(seconds=300))
    run.train([0.001] * 1_000_000)

    assert [round(time) for _, time in run.saves] == [300, 600, 900]
    assert run.checks < 150


def test_steps_that_become_ten_times_as_slow_delay_one_save() -> None:
    seconds = 60
    run = Run(SaveInterval(seconds=seconds))
    run.train([0.01] * 1000 + [0.1] * 6000)

    times = [0.0, *(time for _, time in run.saves)]
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert seconds <= gaps[0] < 3 * seconds
    assert [round(gap) for gap in gaps[1:]] == [seconds] * (len(gaps) - 1)
    assert len(gaps) > 5


def test_a_step_that_takes_longer_than_the_interval_is_followed_by_a_save() -> None:
    run = Run(SaveInterval(seconds=60))
    run.train([200.0] * 5)

    assert [step for step, _ in run.saves] == [1001, 1002, 1003, 1004, 1005]


@pytest.mark.parametrize("interval", [SaveInterval(steps=100), SaveInterval(seconds=1.0)])
def test_a_save_that_is_due_waits_for_the_one_before(interval: SaveInterval) -> None:
    run = Run(interval, write=250)
    run.train([0.01] * 2000)

    steps = [step for step, _ in run.saves]
    gaps = [later - earlier for earlier, later in pairwise(steps)]
    assert len(gaps) >= 6
    assert all(250 <= gap <= 270 for gap in gaps)
