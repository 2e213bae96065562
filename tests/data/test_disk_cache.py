"""Downloaded images on the disk: whole or absent, within the bound, shared by processes, and in their folder whatever they are called."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from boxwise.data.addresses import Stat
from boxwise.data.disk_cache import DiskCache

WRITER = """
import sys
from pathlib import Path
from boxwise.data.addresses import Stat
from boxwise.data.disk_cache import DiskCache

cache = DiskCache(Path(sys.argv[1]), most_bytes=200_000)
for number in range(100):
    for name in (f"s3://b/{number % 7}", f"s3://b/{sys.argv[2]}/{number}"):
        content = name.encode() * 400
        cache.put(name, Stat(len(content), "v"), content)
        kept = cache.get(name)
        assert kept is None or kept.content == content, name
"""


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and path.name != ".lock"]


def test_what_was_put_is_there_until_it_is_dropped(tmp_path):
    cache = DiskCache(tmp_path, most_bytes=10**6)
    cache.put("s3://b/a", Stat(3, "one"), b"abc")
    kept = cache.get("s3://b/a")
    assert (kept.stat, kept.content, cache.known("s3://b/a")) == (Stat(3, "one"), b"abc", Stat(3, "one"))
    assert DiskCache(tmp_path, most_bytes=10**6).get("s3://b/a").content == b"abc" and cache.get("s3://b/b") is None
    cache.drop("s3://b/a")
    assert cache.get("s3://b/a") is None and cache.known("s3://b/a") is None


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b[:-1] + b"?", lambda b: b"", lambda b: b"{}\n" + b, lambda b: b[5:]])
def test_a_damaged_file_is_no_image(tmp_path, damage):
    cache = DiskCache(tmp_path, most_bytes=10**6)
    cache.put("s3://b/a", Stat(3, "one"), b"abc")
    (path,) = files(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get("s3://b/a") is None and not files(tmp_path)


@pytest.mark.parametrize("name", ["../../../etc/passwd", "/etc/passwd", "a\0b", "x" * 5000, "a\nb", "\ud800", "CON", "s3://b/../../x"])
def test_no_name_leads_out_of_the_folder(tmp_path, name):
    folder = tmp_path / "cache"
    cache = DiskCache(folder, most_bytes=10**6)
    cache.put(name, Stat(3, "one"), b"abc")
    assert cache.get(name).content == b"abc"
    assert all(path.is_relative_to(folder) for path in files(tmp_path)) and len(files(tmp_path)) == 1


def test_the_bound_is_kept_and_what_was_read_last_stays(tmp_path):
    cache = DiskCache(tmp_path, most_bytes=100_000)
    for number in range(60):
        cache.put(f"s3://b/{number}", Stat(4000, "one"), bytes(4000))
        assert cache.get("s3://b/0") is not None
        assert sum(path.stat().st_size for path in files(tmp_path)) <= 100_000
    assert cache.get("s3://b/59") is not None and cache.get("s3://b/1") is None


def test_a_half_written_file_that_was_left_makes_room_first(tmp_path):
    cache = DiskCache(tmp_path, most_bytes=12_000)
    cache.put("s3://b/a", Stat(4000, "one"), bytes(4000))
    (path,) = files(tmp_path)
    left = path.with_name(f".{path.name}.1.1")
    left.write_bytes(bytes(6000))
    os.utime(left, (2e9, 1e9))
    cache.put("s3://b/b", Stat(4000, "one"), bytes(4000))
    assert not left.exists() and cache.get("s3://b/a") is not None


def test_several_processes_share_the_folder(tmp_path):
    start = [sys.executable, "-c", WRITER, str(tmp_path)]
    writers = [subprocess.Popen([*start, name], cwd=Path(__file__).parents[2]) for name in "ab"]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    assert 0 < sum(path.stat().st_size for path in files(tmp_path)) <= 210_000


def test_a_disk_that_takes_nothing_is_no_fault(tmp_path):
    (tmp_path / "cache").write_bytes(b"a file where the folder should be")
    cache = DiskCache(tmp_path / "cache", most_bytes=10**6)
    cache.put("s3://b/a", Stat(3, "one"), b"abc")
    assert cache.get("s3://b/a") is None
