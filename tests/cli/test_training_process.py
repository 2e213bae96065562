"""The process that trains beside the page: how it ends is told in its own words. Its life with its parent: test_labelling.py."""

import os
import signal
import subprocess
import sys

import pytest

from boxwise.cli import training_process
from boxwise.cli.training_process import advance


@pytest.fixture
def running(monkeypatch, tmp_path):
    """running(code) → what `advance` says of a child that runs this Python code instead of boxwise."""

    def run(code):
        (tmp_path / "boxwise.py").write_text(code)
        monkeypatch.setattr("os.environ", os.environ | {"PYTHONPATH": str(tmp_path)})
        monkeypatch.chdir(tmp_path)
        return advance(tmp_path)

    return run


def test_a_run_that_ends_well_has_nothing_to_say(running):
    assert running("import sys; assert sys.argv[1] == 'run' and sys.argv[-1] == '--served'") is None


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("import sys; print('Error: no space left', file=sys.stderr); sys.exit(2)", "no space left"),
        ("import os; os._exit(7)", "the training process ended with code 7."),
        ("import sys; sys.exit(3)", "the training process was interrupted."),
        ("import os; os.kill(os.getpid(), 9)", "the training process was ended by SIGKILL, perhaps for lack of memory."),
        ("import os; os.kill(os.getpid(), 15)", "the training process was ended by SIGTERM."),
    ],
)
def test_a_run_that_ends_otherwise_says_why_in_its_own_words(running, code, fault):
    assert running(code) == fault


CHILD = """
import sys, time, typer
from boxwise.cli.training_process import ending_with_parent
try:
    with ending_with_parent():
        print("at work", flush=True)
        time.sleep(600)
except typer.Exit as end:
    sys.exit(end.exit_code)
"""


@pytest.mark.parametrize("how", [[], ["sh", "-c", 'trap "" INT; exec "$@"', "sh"]], ids=["in front", "in the background"])
def test_the_end_of_its_parent_ends_the_child_as_ctrl_c_does(how):
    child = subprocess.Popen(
        [*how, sys.executable, "-c", CHILD], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert child.stdout.readline() == "at work\n"
    child.stdin.close()  # as the system does for a parent that died
    assert child.wait(60) == training_process._WAS_INTERRUPTED


def test_a_child_that_does_not_stop_is_killed(monkeypatch):
    monkeypatch.setattr(training_process, "_SECONDS_TO_STOP", 0.2)
    stubborn = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN); print(1, flush=True); signal.pause()"
    child = subprocess.Popen([sys.executable, "-c", stubborn], stdout=subprocess.PIPE, text=True, start_new_session=True)
    child.stdout.readline()
    training_process._stop(child)
    assert child.returncode == -signal.SIGKILL
