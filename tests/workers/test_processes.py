"""Workers on this machine: they are gone with the process that began them, also where that one is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import processes
import pytest

PATIENCE, SECONDS = 60, 10
linux = pytest.mark.skipif(sys.platform != "linux", reason="reads in /proc whether a process runs")
RANK = """
import os, time
from boxwise.workers.parent import end_with_parent

end_with_parent()
print(os.getpid(), flush=True)
time.sleep(600)
"""
# One worker at a task, one that waits for the next, and the process of the queue.
AT_WORK = """
import multiprocessing, sys, time
from pathlib import Path
from boxwise.workers.processes import processes

with processes(2, begin=abs) as workers:
    workers.submit(time.sleep, 600)
    workers.submit(abs, 0).result()
    workers.queue.put(0)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    time.sleep(600)
"""


def runs(pid: int) -> bool:
    """Whether a process still works; one that has ended and that nobody waits for is a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_in_seconds(pids):
    """Those that are left are killed, so that nothing outlives the test."""
    end = monotonic() + SECONDS
    while (left := [pid for pid in pids if runs(pid)]) and monotonic() < end:
        sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@linux
@pytest.mark.slow
def test_workers_end_within_seconds_where_their_parent_is_killed(tmp_path):
    out, err = tmp_path / "out", tmp_path / "err"
    parent = processes.start("-c", AT_WORK, out=out, err=err)
    end = monotonic() + PATIENCE
    while not (out.exists() and out.read_text().endswith("\n")):
        assert parent.is_alive() and monotonic() < end, err.read_text()
        sleep(0.05)
    pids = [int(pid) for pid in out.read_text().split()]
    assert len(pids) == 3 and all(runs(pid) for pid in pids)
    os.kill(parent.pid, signal.SIGKILL)
    parent.join()
    gone_in_seconds(pids)


@linux
def test_what_is_no_child_of_multiprocessing_ends_with_its_parent_too(tmp_path):
    """As the ranks of torchrun are begun."""
    begin = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {RANK!r}])"
    with subprocess.Popen([sys.executable, "-c", begin], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert runs(pid)
        parent.kill()
        gone_in_seconds([pid])
