import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier

import numpy as np
import pytest
from changed_bits import changed_bits

from boxwise.errors import BoxwiseError
from boxwise.files import SEAL, locked, replacing, seal_is_broken, sealing, walk, write_csv


def test_the_target_is_replaced_whole(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    for text in ("old", "new"):
        with replacing(target) as aside:
            aside.write_text(text)
    assert target.read_text() == "new" and [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_any_changed_bit_breaks_a_seal_or_is_a_bit_of_the_seal(tmp_path):
    path = tmp_path / "file"
    with sealing(path) as aside:
        aside.write_bytes(b"before " + SEAL + b" after")
    assert not seal_is_broken(path) and len(path.read_bytes()) == len(b"before " + SEAL + b" after")
    mark = range(len("before "), len("before boxwise check "))
    for place in changed_bits(path, 300):
        assert seal_is_broken(path) != (place in mark)


@pytest.mark.parametrize("content", [b"x", b"before there were seals"])
def test_a_file_without_a_seal_passes_and_an_empty_one_does_not(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(content)
    assert not seal_is_broken(path)
    path.write_bytes(b"")
    assert seal_is_broken(path)


def test_a_sealed_archive_is_one_for_everybody_and_what_cannot_be_sealed_is_an_error(tmp_path):
    with sealing(tmp_path / "a.npz") as aside:
        np.savez(aside, a=np.arange(9))
    assert not seal_is_broken(tmp_path / "a.npz") and np.load(tmp_path / "a.npz")["a"].tolist() == list(range(9))
    with pytest.raises(ValueError, match="boxwise check"), sealing(tmp_path / "b") as aside:
        aside.write_text("no place for it")


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "file.txt"
    target.write_text("old")
    with pytest.raises(RuntimeError), replacing(target) as aside:
        aside.write_text("half")
        raise RuntimeError
    assert target.read_text() == "old" and [path.name for path in tmp_path.iterdir()] == ["file.txt"]


def test_a_full_disk_is_a_message(tmp_path):
    with pytest.raises(BoxwiseError, match="No space left"), replacing(tmp_path / "file.txt") as aside:
        aside.touch()
        with Path("/dev/full").open("w") as full:
            full.write("x" * 10)
            full.flush()


def test_a_folder_that_cannot_be_made_is_a_message(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(BoxwiseError, match="cannot be written"), replacing(tmp_path / "file" / "x") as aside:
        aside.touch()


def test_a_table_leaves_what_is_unknown_empty_and_quotes_what_needs_it(tmp_path):
    write_csv(tmp_path / "table.csv", ("a", "b"), [{"a": 0.1 + 0.2, "b": None}, {"a": float("nan")}, {"a": "x, y", "b": 0}])
    assert (tmp_path / "table.csv").read_bytes() == b'a,b\r\n0.30000000000000004,\r\n,\r\n"x, y",0\r\n'


def test_a_column_that_was_not_announced_is_an_error_and_leaves_the_file_as_it_was(tmp_path):
    write_csv(tmp_path / "table.csv", ("a",), [{"a": 1}])
    with pytest.raises(ValueError, match="c"):
        write_csv(tmp_path / "table.csv", ("a",), [{"a": 1, "c": 2}])
    assert (tmp_path / "table.csv").read_text().split() == ["a", "1"]


HOLDING = """
import sys, time
from pathlib import Path
from boxwise.files import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


def holder(path, seconds):
    """A process that holds the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(path), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_lock_is_another_processes_until_that_is_killed(tmp_path):
    process = holder(tmp_path / ".lock", 60)
    with pytest.raises(BlockingIOError), locked(tmp_path / ".lock"):
        pass
    process.send_signal(signal.SIGKILL)
    process.wait()
    with locked(tmp_path / ".lock"), pytest.raises(BlockingIOError), locked(tmp_path / ".lock"):
        pass


def test_a_lock_can_be_waited_for(tmp_path):
    process, began = holder(tmp_path / ".lock", 0.5), time.monotonic()
    with locked(tmp_path / ".lock", wait=True):
        assert process.wait(5) == 0 and time.monotonic() - began > 0.2


def test_an_error_inside_lets_the_lock_go(tmp_path):
    with pytest.raises(RuntimeError), locked(tmp_path / ".lock"):
        raise RuntimeError
    with locked(tmp_path / ".lock"):
        pass


def test_threads_that_write_one_file_at_a_time_each_leave_it_whole(tmp_path):
    path, texts, all_written = tmp_path / "text.txt", ["one", "other"], Barrier(2)

    def write(text):
        with replacing(path) as aside:
            aside.write_text(text)
            all_written.wait(20)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, texts))
    assert path.read_text() in texts and list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="rights of folders are another thing there")
class TestFoldersThatMayNotBeLookedInto:
    @pytest.fixture
    def shelf(self) -> Iterator[Path]:
        """A folder that anyone may look into, seen by a user who is not root, to whom nothing is closed."""
        with TemporaryDirectory() as folder:
            Path(folder).chmod(0o755)
            for place in ("open", "shut", "lost+found"):
                Path(folder, place).mkdir()
                Path(folder, place, "a.png").touch()
            user = os.geteuid()
            os.seteuid(user or 65534)
            yield Path(folder)
            os.seteuid(user)
            Path(folder, "shut").chmod(0o755)

    @pytest.mark.parametrize("rights", [0o000, 0o444])  # nothing at all; the names and nothing of what they name
    def test_are_named(self, shelf: Path, rights: int) -> None:
        assert sorted(walk(shelf)) == [shelf / "open/a.png", shelf / "shut/a.png"]
        with as_owner():
            (shelf / "shut").chmod(rights)
        with pytest.raises(BoxwiseError, match=r"shut: expected a folder that this user may look into"):
            list(walk(shelf))


@contextmanager
def as_owner() -> Iterator[None]:
    user = os.geteuid()
    os.seteuid(os.getuid())
    yield
    os.seteuid(user)
