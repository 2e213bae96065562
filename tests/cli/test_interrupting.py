"""`boxwise run` that is told to end, as by a container's runtime, says so, loses nothing, and goes on."""

import os
import signal
from time import monotonic, sleep

import processes
import pytest

from boxwise.records import Phase
from boxwise.study import Study

_PATIENCE = 300.0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGTERM that a process could hear")
def test_sigterm_ends_a_training_as_ctrl_c_does(boxwise, waiting_study, hidden, tmp_path):
    study = waiting_study("full")
    study.answer(hidden[0])
    study.store.close()
    assert boxwise("set", study.folder, "train.steps=100000", "device=cpu")[0] == 0
    process, end = processes.start("-m", "boxwise", "run", study.folder, err=tmp_path / "err"), monotonic() + _PATIENCE
    while not study.files(1).checkpoint.exists():
        assert process.is_alive() and monotonic() < end
        sleep(0.2)
    os.kill(process.pid, signal.SIGTERM)
    process.join(_PATIENCE)
    said = (tmp_path / "err").read_text()
    assert process.exitcode == 130 and "Stopped. Nothing is lost" in said and "Traceback" not in said
    assert Study.open(study.folder).position == (1, Phase.TRAIN)
    assert boxwise("set", study.folder, "train.steps=12")[0] == 0
    code, out, err = boxwise("run", study.folder)
    assert code == 0 and "Round 2 waits for labels" in out, err


def test_a_ctrl_c_before_the_verb_begins_is_said_alike(boxwise, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    for place in ("prepare_environment", "app"):
        with monkeypatch.context() as patch:
            patch.setattr(f"boxwise.cli.{place}", interrupted)
            code, out, err = boxwise("methods")
        assert (code, out) == (130, "") and err.startswith("Stopped. Nothing is lost")


def test_a_ctrl_c_that_python_loses_ends_the_wait_all_the_same():
    """An exception out of the callback of a weak reference is printed and goes no further."""
    code = """
import os, signal, weakref
from boxwise.cli.labelling import _wait, stopping_cleanly
class Thing: pass
thing = Thing()
gone = weakref.ref(thing, lambda _: os.kill(os.getpid(), signal.SIGINT))
with stopping_cleanly() as stop:
    del thing
    print("lost" if stop.is_set() else "not asked", flush=True)
    try:
        _wait(lambda: True, stop)
    except KeyboardInterrupt:
        print("ended", flush=True)
"""
    done = processes.run("-c", code, timeout=60)
    assert done.returncode == 0 and done.stdout.split() == ["lost", "ended"] and "Exception ignored" in done.stderr
