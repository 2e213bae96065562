"""`boxwise init` asks for what is missing on a terminal, and never in a pipe."""

import os
import select
import signal
import subprocess
import sys
from time import monotonic

import pytest
import yaml

fcntl, pty, termios = (pytest.importorskip(name, reason="there are no pseudo-terminals here") for name in ("fcntl", "pty", "termios"))
pytestmark = pytest.mark.slow  # each begins commands anew, at a terminal
_SECONDS = 300.0  # of patience on a busy machine
INIT = [sys.executable, "-m", "boxwise", "init", "study"]


def _own_terminal():
    """Make the terminal the command's own, so that Ctrl-C on it is a signal, which the tests' own shell may have had ignored."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, command, folder):
        self.outside, inside = pty.openpty()
        ends = dict.fromkeys(("stdin", "stdout", "stderr"), inside)
        self.process = subprocess.Popen(command, cwd=folder, env=os.environ | {"TERM": "dumb"}, preexec_fn=_own_terminal, **ends)
        os.close(inside)
        self.seen = ""

    def until(self, text, *, again=b"", seconds=_SECONDS):
        """Read until `text` has been shown since the last answer.

        again: typed first and where nothing comes: Python misses a Ctrl-C between the prompt and its waiting for an answer.
        """
        end, quiet = monotonic() + seconds, True
        while text not in self.seen:
            assert monotonic() < end, f"{text!r} did not come: {self.seen}"
            if quiet:
                os.write(self.outside, again)
            quiet = not select.select([self.outside], [], [], 0.5)[0]
            if not quiet:
                try:
                    self.seen += os.read(self.outside, 4096).decode(errors="replace")
                except OSError:  # the command has ended
                    assert text in self.seen, f"{text!r} did not come: {self.seen}"

    def answer(self, text):
        self.seen = ""
        os.write(self.outside, f"{text}\n".encode(errors="surrogateescape"))


@pytest.fixture
def terminal(tmp_path):
    """A function that starts a command on a terminal; it is ended with the test."""
    begun = []

    def start(*arguments):
        begun.append(Terminal([*INIT, *map(str, arguments)], tmp_path))
        return begun[-1]

    yield start
    for each in begun:
        if each.process.poll() is None:
            each.process.kill()
        each.process.wait()
        os.close(each.outside)


def test_it_asks_until_the_answers_make_a_study(terminal, digits_folder, tmp_path):
    shown = terminal("detector.name=tiny_ssd", "detector.pretrained=none", "--ask", "trust")
    shown.until("Folder of images: ")
    shown.answer("nowhere")
    shown.until("expected a folder, a tar file or a list of images, found nothing")
    shown.until("Folder of images: ")
    shown.answer(digits_folder / "JPEGImages")
    shown.until("Labels that exist already")
    shown.answer("")
    shown.until("Class names")
    shown.answer("one, Gr\udcf6\udcdfe")  # of a terminal that speaks Latin-1
    shown.until("is no name of a class")
    shown.answer("one, two")
    shown.until("Preset (none, classic-ssd, gpu, laptop, modern)")
    shown.answer("laptop")
    shown.until("Images to label first")
    shown.answer("5%")
    shown.until("--classes one,two --preset laptop study detector.name=tiny_ssd detector.pretrained=none --ask trust budget.initial=5%")
    shown.until("Next: boxwise run study")
    assert shown.process.wait(_SECONDS) == 0
    config = yaml.safe_load((tmp_path / "study/config.yaml").read_text())
    assert config["budget"]["initial"] == "5%" and config["detector"]["name"] == "tiny_ssd"


def test_where_nothing_is_missing_it_asks_nothing(terminal, digits_folder, tmp_path):
    shown = terminal("--labels", digits_folder, "detector.name=tiny_ssd", "detector.pretrained=none")
    shown.until("Next: boxwise run study")
    assert shown.process.wait(_SECONDS) == 0


def test_ctrl_c_leaves_no_trace(terminal, tmp_path):
    shown = terminal()
    shown.until("Folder of images: ")
    shown.until("Aborted", again=b"\x03")
    assert shown.process.wait(_SECONDS) == 1 and not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("given", "message"), [((), "Give --images DIR, --labels PATH, or both."), (("--images", "."), "--classes cat,dog")]
)
def test_in_a_pipe_it_says_what_is_missing(tmp_path, given, message):
    done = subprocess.run([*INIT, *given], cwd=tmp_path, input="a\nb\n", capture_output=True, text=True, check=False, timeout=_SECONDS)
    assert done.returncode == 2 and message in done.stderr and len(done.stderr.splitlines()) == 1
