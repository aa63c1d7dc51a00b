from __future__ import annotations

import itertools
import logging

import pytest

from fairness_core.runtime import logs
from fairness_core.runtime.logs import configure, get_logger, progress


@pytest.fixture(autouse=True)
def configured(monkeypatch):
    """A configured log, put back to silence afterwards."""
    monkeypatch.delenv("RANK", raising=False)
    root = logging.getLogger(logs.ROOT)
    before = root.handlers[:], root.level, root.propagate
    configure("finetune")
    yield
    root.handlers[:], root.level, root.propagate = before


@pytest.fixture
def clock(monkeypatch):
    """Time that advances by ``clock.step`` seconds at each look."""

    class Clock:
        now, step = 0.0, 0.0

        def __call__(self) -> float:
            self.now += self.step
            return self.now

    clock = Clock()
    monkeypatch.setattr(logs.time, "monotonic", clock)
    return clock


def test_lines_carry_time_and_step(capsys):
    get_logger("training").info("150 iterations to do")
    get_logger("training").warning("no face")
    first, second = capsys.readouterr().err.splitlines()
    assert first[2:6:3] == "::"
    assert first[8:] == " finetune  150 iterations to do"
    assert second[8:] == " finetune  warning: no face"


def test_configuring_twice_does_not_repeat_lines(capsys):
    configure("publish")
    get_logger("export").info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_other_processes_only_warn(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    configure("finetune")
    get_logger("training").info("hidden")
    get_logger("training").warning("shown")
    assert "hidden" not in (text := capsys.readouterr().err)
    assert "finetune [process 1]  warning: shown" in text


def test_progress_yields_every_item():
    assert list(progress(range(5), label="images")) == [0, 1, 2, 3, 4]
    assert list(itertools.islice(progress(iter("abc"), label="letters"), 2)) == ["a", "b"]


def test_what_is_quick_says_nothing(capsys, clock):
    clock.step = 0.1
    assert len(list(progress(range(10), label="images"))) == 10
    assert capsys.readouterr().err == ""


def test_without_a_terminal_a_line_now_and_then(capsys, clock):
    clock.step = 1.0
    list(progress(range(40), label="images"))
    lines = [line.split("  ")[1] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "images: 2/40 (5 %) in 2 s, about 38 s left",
        "images: 12/40 (30 %) in 12 s, about 28 s left",
        "images: 22/40 (55 %) in 22 s, about 18 s left",
        "images: 32/40 (80 %) in 32 s, about 8 s left",
        "images: done, 40 in 41 s",
    ]


def test_an_unknown_total_counts_only(capsys, clock):
    clock.step = 70.0
    list(progress(iter(range(2)), label="images"))
    assert "images: 1 in 1 min 10 s" in capsys.readouterr().err


@pytest.mark.parametrize("total", [3, None])
def test_on_a_terminal_a_bar(capsys, clock, monkeypatch, total):
    monkeypatch.setattr(logs.sys.stderr, "isatty", lambda: True)
    clock.step = 3.0
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    for item in progress(iter(range(3)), total=total, label="images"):
        if item == 2:
            get_logger("training").info("beside the bar")
    text = capsys.readouterr().err
    assert "images" in text
    assert "3/3" in text if total else "3/?" in text
    assert "beside the bar" in text


def test_only_the_outermost_progress_shows(capsys, clock):
    clock.step = 3.0
    for _ in progress(range(2), label="outer"):
        assert list(progress(range(3), label="inner")) == [0, 1, 2]
    text = capsys.readouterr().err
    assert "outer" in text
    assert "inner" not in text
    list(progress(range(2), label="after"))
    assert "after" in capsys.readouterr().err


def test_other_processes_show_no_progress(capsys, clock, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    clock.step = 3.0
    assert list(progress(range(3), label="images")) == [0, 1, 2]
    assert capsys.readouterr().err == ""
