"""Images in tar files, here and in a bucket: read by their places, a remote shard read through once."""

import io
import tarfile

import numpy as np
import pytest
from PIL import Image

from boxwise.config import ImagesConfig
from boxwise.data import image_store
from boxwise.data.cached_store import CachedStore
from boxwise.data.disk_cache import DiskCache
from boxwise.data.object_store import ObjectStore
from boxwise.data.shards import LocalShards, RemoteShards
from boxwise.errors import ImageError, ImageStoreError, MissingImageError


def picture(number):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (30, 40, 3), np.uint8)).save(stream, "PNG")
    return stream.getvalue()


CONTENTS = {f"{folder}/{'n' * 120}{number}.png": picture(number) for number, folder in enumerate(["a", "a", "b", "ü", "."])}
PLAIN = {name.removeprefix("./"): content for name, content in CONTENTS.items()}


def tar_of(contents, mode="w"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode=mode) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("b/link.png")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        tar.addfile(link)
    return stream.getvalue()


@pytest.fixture(params=["local", pytest.param("remote", marks=pytest.mark.slow)])
def shard(request, tmp_path):
    """(a store, address of a shard's member by name, function that writes the shard anew)."""
    if request.param == "local":
        path = tmp_path / "x.tar"
        path.write_bytes(tar_of(CONTENTS))
        return LocalShards(), lambda name: f"tar://{name}::{path}", path.write_bytes
    bucket = request.getfixturevalue("bucket")
    bucket.put("shards/x.tar", tar_of(CONTENTS))
    return remote(tmp_path), lambda name: f"tar://{name}::s3://photos/shards/x.tar", lambda content: bucket.put("shards/x.tar", content)


def remote(tmp_path, **how):
    cache = DiskCache(tmp_path / "cache", most_bytes=10**8)
    return CachedStore(RemoteShards(ObjectStore(pause=0.01, **how), cache), cache, parallel=4, recheck=3600.0)


def test_members_are_listed_and_read_as_they_are(shard):
    store, address, _ = shard
    assert store.list(address("")) == sorted(address(name) for name in PLAIN)
    assert {name: store.read(address(name)) for name in PLAIN} == PLAIN
    assert store.list(address("b")) == [address(name) for name in PLAIN if name.startswith("b/")]
    assert store.stat(address(next(iter(PLAIN)))).size == len(next(iter(PLAIN.values())))


def test_a_shard_without_the_member_is_one_image_s_fault(shard):
    store, address, _ = shard
    for name in ("none.png", "b/link.png"):
        with pytest.raises(MissingImageError, match=f"expected '{name}' in the tar file"):
            store.read(address(name))


@pytest.mark.parametrize("content", [b"no tar", tar_of(CONTENTS, "w:gz"), tar_of(CONTENTS)[:9000]])
def test_what_is_no_whole_plain_tar_says_so(shard, content):
    store, address, write = shard
    write(content)
    with pytest.raises(ImageError, match="expected an uncompressed tar file"):
        store.list(address(""))


def test_a_remote_shard_is_read_through_once(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr("boxwise.data.shards._BLOCK", 10_000)
    content = tar_of(CONTENTS)
    bucket.put("shards/x.tar", content)
    bucket.proxy.fault = lambda method, path, before: "cut" if method == "GET" and before % 2 == 0 else None
    for _ in range(2):  # the second as another process
        store = remote(tmp_path)
        assert {name: store.read(f"tar://{name}::s3://photos/shards/x.tar") for name in PLAIN} == PLAIN
        assert bucket.proxy.served["GET", "/photos/shards/x.tar"] in (len(content) // 10_000, len(content) // 10_000 + 1)  # but its padding


def test_a_member_that_the_cache_let_go_is_read_alone(bucket, tmp_path):
    bucket.put("shards/x.tar", tar_of(CONTENTS))
    store = remote(tmp_path)
    uris = store.list("tar://::s3://photos/shards/x.tar")
    store._cache.drop(uris[0])
    assert store.read(uris[0]) == PLAIN[uris[0].removeprefix("tar://").partition("::")[0]]
    assert bucket.proxy.served["GET", "/photos/shards/x.tar"] == 2


def test_a_shard_that_is_not_there_is_no_image_s_fault(bucket, tmp_path):
    with pytest.raises(ImageStoreError, match=r"s3://photos/none.tar: expected a tar file"):
        remote(tmp_path).read("tar://a.png::s3://photos/none.tar")
    with pytest.raises(ImageStoreError, match=r"none.tar: expected a tar file"):
        LocalShards().read(f"tar://a.png::{tmp_path / 'none.tar'}")


def test_shards_below_a_folder_are_folders(bucket, tmp_path):
    image_store.use(ImagesConfig(cache_folder=tmp_path / "cache"))
    bucket.put("set/one.tar", tar_of(PLAIN))
    bucket.put("set/plain.png", picture(9))
    found = image_store.below("s3://photos/set")
    assert found == {"plain.png": "s3://photos/set/plain.png"} | {f"one/{n}": f"tar://{n}::s3://photos/set/one.tar" for n in PLAIN}
    image_store.prefetch(found.values())
    assert image_store.read(found["plain.png"]) == picture(9)
