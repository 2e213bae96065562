"""The progress of a running step reaches the page, seldom enough to cost nothing, and never outlives its writer."""

import json
import math
import subprocess
import sys
from time import time

import pytest

from boxwise.errors import BusyError
from boxwise.records import Phase
from boxwise.rounds import Event
from boxwise.web.progress import FILE, ProgressFile, clear_trouble, leaving_trouble, read_progress, read_trouble, write_trouble


def event(step, phase=Phase.TRAIN, **figures):
    return Event(1, phase, step, 12, figures)


def changed(folder, **values):
    (folder / FILE).write_text(json.dumps(json.loads((folder / FILE).read_text()) | values))


def no_process():
    """The id of a process that has ended."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return gone.pid


def test_a_reader_sees_the_running_step(tmp_path):
    with ProgressFile(tmp_path) as progress:
        progress.event(event(3, loss=1.5, ap=math.nan))
        found = read_progress(tmp_path)
    assert 0 <= found.pop("silent") < 60
    assert found == {"phase": "train", "round": 1, "step": 3, "steps": 12, "figures": {"loss": 1.5, "ap": None}}


def test_at_most_two_writes_a_second_and_a_new_step_at_once(tmp_path):
    now, steps = 0.0, []
    with ProgressFile(tmp_path, clock=lambda: now) as progress:
        for number in range(11):
            now = 100 + number / 10
            progress.event(event(number))
            steps.append(read_progress(tmp_path)["step"])
        assert steps == [0, 0, 0, 0, 0, 5, 5, 5, 5, 5, 10]
        progress.event(event(1, Phase.SCORE))
        assert read_progress(tmp_path)["phase"] == "score"


@pytest.mark.parametrize("ends", [lambda progress: progress.step_done(), lambda progress: progress.__exit__()])
def test_nothing_is_left_when_a_step_or_the_run_ends(tmp_path, ends):
    progress = ProgressFile(tmp_path)
    progress.event(event(3))
    ends(progress)
    assert read_progress(tmp_path) is None and not list(tmp_path.iterdir())


def test_a_writer_that_was_killed_says_nothing(tmp_path):
    ProgressFile(tmp_path).event(event(1))
    assert read_progress(tmp_path)["step"] == 1
    changed(tmp_path, pid=no_process())
    assert read_progress(tmp_path) is None
    write_trouble(tmp_path, "no space left")
    changed(tmp_path, pid=no_process())
    assert read_trouble(tmp_path) is None


def test_a_writer_whose_clock_is_a_little_ahead_was_heard_just_now(tmp_path):
    ProgressFile(tmp_path).event(event(1))
    changed(tmp_path, updated=time() + 30)
    assert read_progress(tmp_path)["silent"] == 0


@pytest.mark.parametrize("seconds", [61, -61])
def test_a_writer_that_has_been_silent_for_a_minute_or_has_another_clock_says_nothing(tmp_path, seconds):
    ProgressFile(tmp_path).event(event(1))
    changed(tmp_path, updated=time() - seconds)
    assert read_progress(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"phase": "train"}'])
def test_a_file_that_is_no_progress_says_nothing(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    assert read_progress(tmp_path) is None and read_trouble(tmp_path) is None


def test_a_disk_that_refuses_never_ends_a_run(tmp_path):
    (tmp_path / "study").write_text("a file where a folder is expected")
    with ProgressFile(tmp_path / "study") as progress:
        progress.event(event(1))
    assert read_progress(tmp_path / "study") is None


def test_trouble_is_shown_until_something_runs_again(tmp_path):
    write_trouble(tmp_path, "the GPU is out of memory.")
    assert read_trouble(tmp_path) == "the GPU is out of memory." and read_progress(tmp_path) is None
    ProgressFile(tmp_path).event(event(1))
    assert read_trouble(tmp_path) is None and read_progress(tmp_path)["step"] == 1


def test_what_ended_a_run_is_said_after_its_end_until_something_runs_again(tmp_path):
    code = "import sys; from pathlib import Path; from boxwise.web.progress import leaving_trouble\n"
    code += "with leaving_trouble(Path(sys.argv[1])): raise OSError('no space left')"
    assert subprocess.run([sys.executable, "-c", code, tmp_path], stderr=subprocess.DEVNULL).returncode == 1
    assert read_trouble(tmp_path) == "no space left"
    with leaving_trouble(tmp_path), ProgressFile(tmp_path):
        pass
    assert read_trouble(tmp_path) is None


@pytest.mark.parametrize("end", [KeyboardInterrupt(), BusyError("another boxwise process is working on this study.")])
def test_who_stops_a_run_or_starts_a_second_one_is_no_trouble(tmp_path, end):
    ProgressFile(tmp_path).event(event(3))
    with pytest.raises(type(end)), leaving_trouble(tmp_path):
        raise end
    clear_trouble(tmp_path)
    assert read_trouble(tmp_path) is None and read_progress(tmp_path)["step"] == 3


def test_a_writer_on_another_machine_is_believed_for_a_minute(tmp_path):
    ProgressFile(tmp_path).event(event(1))
    changed(tmp_path, pid=no_process(), host="elsewhere")
    assert read_progress(tmp_path)["step"] == 1
    changed(tmp_path, updated=time() - 61)
    assert read_progress(tmp_path) is None
