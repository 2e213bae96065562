"""Objects of a real S3-compatible server: each downloaded once, through faults that pass; other faults are one message each."""

import io
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from faulty_proxy import faulty_proxy
from PIL import Image

from boxwise.config import ImagesConfig
from boxwise.data import image_store
from boxwise.data.cached_store import CachedStore
from boxwise.data.disk_cache import DiskCache
from boxwise.data.images import digest, image_size, read_image, verify_image
from boxwise.data.object_store import ObjectStore
from boxwise.errors import ImageError, ImageStoreError, MissingImageError


def jpeg(number, size=(40, 30)):
    stream = io.BytesIO()
    Image.fromarray(np.random.default_rng(number).integers(0, 255, (size[1], size[0], 3), np.uint8)).save(stream, "JPEG")
    return stream.getvalue()


@pytest.fixture
def photos(bucket):
    """Eight images in two folders of the bucket, what is no image beside them, as address → content."""
    contents = {f"set/{'ab'[number % 2]}/{number} ü.jpg": jpeg(number) for number in range(8)}
    bucket.put("set/readme.txt", b"no image")
    bucket.put("set/.hidden/x.jpg", b"no image of ours")
    return {bucket.put(key, content): content for key, content in contents.items()}


def store(tmp_path, *, recheck=3600.0, attempts=4, timeout=5.0, parallel=4):
    objects = ObjectStore(attempts=attempts, timeout=timeout, parallel=parallel, pause=0.01)
    return CachedStore(objects, DiskCache(tmp_path / "cache", most_bytes=10**8), parallel=parallel, recheck=recheck)


def test_images_are_listed_and_read_as_they_are(bucket, photos, tmp_path):
    mine = store(tmp_path)
    assert mine.list("s3://photos/set") == sorted(photos) == mine.list("s3://photos/set/")
    assert {uri: mine.read(uri) for uri in photos} == photos
    assert mine.stat(next(iter(photos))).size == len(next(iter(photos.values())))


def test_an_image_is_downloaded_once(bucket, photos, tmp_path):
    mine = store(tmp_path)
    for _ in range(3):
        mine.prefetch(photos)
        readers = [threading.Thread(target=mine.read, args=(uri,)) for uri in photos for _ in range(3)]
        [reader.start() for reader in readers]
        [reader.join() for reader in readers]
    assert {uri: store(tmp_path).read(uri) for uri in photos} == photos  # a process later
    assert list(bucket.proxy.images().values()) == [1] * 8


@pytest.mark.parametrize("kind", ["error", "cut", "refused", "slow"])
def test_no_image_is_lost_and_none_read_twice_through_faults(bucket, photos, tmp_path, kind):
    bucket.proxy.fault = lambda method, path, before: kind if path.endswith(".jpg") and before < 2 else None
    mine = store(tmp_path, timeout=0.7)
    mine.prefetch(photos)
    assert {uri: mine.read(uri) for uri in photos} == photos
    assert sum(count for (_, path), count in bucket.proxy.asked.items() if path.endswith(".jpg")) >= 8 * 3
    if kind != "slow":  # a slow answer arrives when its reader has given it up
        assert list(bucket.proxy.images().values()) == [1] * 8


def test_an_image_that_never_comes_is_one_fault(bucket, photos, tmp_path):
    broken = next(iter(photos))
    bucket.proxy.fault = lambda method, path, before: "error" if path.endswith("a/0%20%C3%BC.jpg") else None
    mine = store(tmp_path, attempts=2)
    with pytest.raises(ImageError, match="at each of 2 attempts"):
        mine.read(broken)
    assert {uri: mine.read(uri) for uri in photos if uri != broken}


def test_a_changed_object_is_noticed(bucket, photos, tmp_path):
    uri = "s3://photos/set/a/0 ü.jpg"
    mine = store(tmp_path, recheck=0.0)
    first = mine.read(uri), mine.stat(uri)
    bucket.put("set/a/0 ü.jpg", jpeg(100))
    now = store(tmp_path, recheck=0.0)
    assert now.read(uri) == jpeg(100) != first[0] and now.stat(uri) != first[1]
    bucket.put("set/a/0 ü.jpg", jpeg(101))
    trusting = store(tmp_path)
    assert trusting.read(uri) == jpeg(100)  # within the time for which that is not asked
    assert trusting.stat(uri).stamp != now.stat(uri).stamp and trusting.read(uri) == jpeg(101)


def test_a_missing_object_is_the_fault_of_one_image(bucket, photos, tmp_path):
    with pytest.raises(MissingImageError, match=r"s3://photos/set/none\.jpg: expected an image"):
        store(tmp_path).read("s3://photos/set/none.jpg")
    assert sum(bucket.proxy.asked.values()) < 8  # not asked for again


@pytest.mark.parametrize("act", [lambda s: s.read("s3://nowhere/a.jpg"), lambda s: s.list("s3://nowhere/set")])
def test_a_bucket_that_does_not_exist_is_no_image_s_fault(bucket, tmp_path, act):
    with pytest.raises(ImageStoreError, match="expected s3://nowhere to be there"):
        act(store(tmp_path))


@pytest.mark.parametrize("act", [lambda s: s.read("s3://photos/set/a/0 ü.jpg"), lambda s: s.list("s3://photos/set")])
def test_wrong_credentials_are_named_by_where_they_come_from_and_never_shown(bucket, photos, tmp_path, act):
    bucket.proxy.fault = lambda method, path, before: "forbidden"
    with pytest.raises(ImageStoreError, match="AWS_ACCESS_KEY_ID") as caught:
        act(store(tmp_path))
    assert "hunter2" not in str(caught.value)


def test_one_forbidden_object_is_the_fault_of_one_image(bucket, photos, tmp_path):
    bucket.proxy.fault = lambda method, path, before: "forbidden" if path.endswith(".jpg") else None
    with pytest.raises(ImageError, match="found it forbidden"):
        store(tmp_path).read("s3://photos/set/a/0 ü.jpg")


def test_a_server_that_does_not_answer_is_one_message(bucket, photos, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(ImageStoreError, match="to answer, found at each of 2 attempts"):
        store(tmp_path, attempts=2).read(next(iter(photos)))


def test_an_unknown_scheme_names_the_nearest(tmp_path):
    with pytest.raises(ImageStoreError, match=r"Unknown scheme .s4.\. Did you mean .s3."):
        image_store.read("s4://photos/a.jpg")


def test_a_missing_package_is_named_with_the_command_that_brings_it(tmp_path):
    code = "import sys; sys.modules['s3fs'] = None\nfrom boxwise.data import image_store\nimage_store.read('s3://b/a.jpg')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2], env=dict(os.environ))
    assert "pip install 'boxwise[remote]' s3fs" in done.stderr.splitlines()[-1]


def test_pictures_are_measured_verified_and_decoded_wherever_they_lie(bucket, photos, tmp_path):
    image_store.use(ImagesConfig(cache_folder=tmp_path / "cache"))
    uri, content = next(iter(photos.items()))
    (tmp_path / "a.jpg").write_bytes(content)
    for act in (image_size, verify_image, digest, lambda one: read_image(one).tolist()):
        assert act(uri) == act(tmp_path / "a.jpg")
    for name, broken in (("empty", b""), ("torn", content[:300]), ("text", b"no image")):
        with pytest.raises(ImageError, match=rf"s3://photos/{name}.jpg: expected an image that decodes"):
            verify_image(bucket.put(f"{name}.jpg", broken))


@pytest.fixture
def web(tmp_path):
    """Files of a folder by a plain server of the web, behind the proxy: (proxy, address, folder)."""
    folder = tmp_path / "web"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(QuietHandler, directory=folder))
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    with faulty_proxy(f"http://127.0.0.1:{server.server_address[1]}") as (proxy, address):
        yield proxy, address, folder
    server.shutdown()
    server.server_close()


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        return


@pytest.mark.slow
@pytest.mark.parametrize("kind", [None, "error", "cut", "refused"])
def test_images_of_the_web_are_read_once_through_faults(web, tmp_path, kind):
    proxy, address, folder = web
    uris = [f"{address}/{number}.jpg?signature=hunter2" for number in range(4)]
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    proxy.fault = lambda method, path, before: kind if before < 2 else None
    mine = store(tmp_path)
    mine.prefetch(uris)
    assert [mine.read(uri) for uri in uris] == [jpeg(number) for number in range(4)]
    assert set(proxy.images().values()) == {1}
    with pytest.raises(MissingImageError) as caught:
        mine.read(f"{address}/none.jpg?signature=hunter2")
    assert "none.jpg: expected an image" in str(caught.value) and "hunter2" not in str(caught.value)


@pytest.mark.slow
def test_a_host_of_the_web_that_does_not_answer_or_lets_none_in_is_no_image_s_fault(web, tmp_path):
    proxy, address, _ = web
    for kind, said in (("refused", "to answer"), ("error", "to answer"), ("forbidden", "credentials")):
        proxy.fault = lambda method, path, before, kind=kind: kind
        with pytest.raises(ImageStoreError, match=said) as caught:
            store(tmp_path, attempts=2).read(f"{address}/a.jpg?signature=hunter2")
        assert "hunter2" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("root", ["forbidden", None])
@pytest.mark.parametrize(("kind", "said"), [("forbidden", "found it forbidden"), ("error", "at each of 2 attempts")])
def test_one_image_of_the_web_is_its_own_fault_whatever_the_host_says_of_its_root(web, tmp_path, root, kind, said):
    proxy, address, folder = web
    proxy.fault = lambda method, path, before: kind if path == "/bad.jpg" else root if path == "/" else None
    for name in ("a.jpg", "bad.jpg"):
        (folder / name).write_bytes(jpeg(0))
    mine = store(tmp_path, attempts=2)
    assert mine.read(f"{address}/a.jpg") == jpeg(0)
    with pytest.raises(ImageError, match=said):
        mine.read(f"{address}/bad.jpg")


@pytest.mark.slow
@pytest.mark.parametrize(("root", "image"), [(429, 429), (407, 407), (404, 503), (403, 503), (403, 500), (503, 403), (404, 403)])
def test_no_image_is_blamed_where_its_host_is_not_seen_to_give_any(web, tmp_path, root, image):
    proxy, address, _ = web
    proxy.fault = lambda method, path, before: root if path == "/" else image
    mine = store(tmp_path, attempts=2)
    for number in range(3):
        with pytest.raises(ImageStoreError, match=rf"/{number}\.jpg: expected .* boxwise exclude STUDY IMAGE"):
            mine.stat(f"{address}/{number}.jpg")


@pytest.mark.slow
@pytest.mark.parametrize("kind", [403, 500])
@pytest.mark.parametrize(("bad", "parallel"), [(0, 4), (3, 4), (0, 1)], ids=["first", "last", "answered-before-another-is-asked-for"])
def test_one_bad_image_among_those_that_are_read_together_is_its_own_fault_wherever_it_stands(web, tmp_path, kind, bad, parallel):
    proxy, address, folder = web
    proxy.fault = lambda method, path, before: kind if path == f"/{bad}.jpg" else 404 if path == "/" else None
    uris = [f"{address}/{number}.jpg" for number in range(4)]
    for number in range(4):
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    mine = store(tmp_path, attempts=2, parallel=parallel)
    mine.prefetch(uris)
    with pytest.raises(ImageError):
        mine.read(uris[bad])
    assert [mine.read(uri) for uri in uris if uri != uris[bad]]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("asked", "there"),
    [(range(8), range(1, 6)), (range(7), range(4, 7)), ([0] * 8 + [1], [1])],
    ids=["the-last-are-gone", "the-first-are-gone", "asked-many-times"],
)
def test_a_forbidden_image_is_its_own_fault_though_most_of_those_read_with_it_tell_nothing(web, tmp_path, asked, there):
    proxy, address, folder = web
    proxy.fault = lambda method, path, before: {"/0.jpg": 403, "/": 404}.get(path)
    for number in there:
        (folder / f"{number}.jpg").write_bytes(jpeg(number))
    mine = store(tmp_path, attempts=2, parallel=1)
    mine.prefetch(f"{address}/{number}.jpg" for number in asked)
    with pytest.raises(ImageError):
        mine.read(f"{address}/0.jpg")


@pytest.mark.slow
@pytest.mark.parametrize(("slow", "fault"), [("all", ImageStoreError), ("one", ImageError)])
def test_an_image_of_the_web_that_is_slow_is_not_missing(web, tmp_path, slow, fault):
    proxy, address, folder = web
    proxy.fault = lambda method, path, before: "slow" if slow == "all" or path == "/slow.jpg" else None
    (folder / "a.jpg").write_bytes(jpeg(0))
    mine = store(tmp_path, attempts=2, timeout=0.3)
    if slow == "one":
        mine.read(f"{address}/a.jpg")
    with pytest.raises(fault, match="at each of 2 attempts") as caught:
        mine.stat(f"{address}/slow.jpg")
    assert type(caught.value) is fault and proxy.asked["HEAD", "/slow.jpg"] == 2


@pytest.mark.slow
def test_a_bucket_that_hangs_is_asked_for_one_thing_more(bucket, photos, tmp_path):
    first, second, third, *_ = photos
    mine = store(tmp_path, attempts=2, timeout=0.3)
    assert [mine.read(uri) for uri in (first, second)]
    bucket.proxy.calm()
    bucket.proxy.fault = lambda method, path, before: "slow"
    with pytest.raises(ImageStoreError, match="to answer, found at each of 2 attempts"):
        mine.stat(third)
    assert sum(bucket.proxy.asked.values()) == 3


def test_a_missing_object_of_a_bucket_that_lets_no_one_list_it_is_the_fault_of_one_image(bucket, photos, tmp_path):
    bucket.proxy.fault = lambda method, path, before: None if path.endswith("%20%C3%BC.jpg") else "forbidden"  # as S3 without ListBucket
    mine, first = store(tmp_path, attempts=2), next(iter(photos))
    assert mine.read(first) == photos[first]
    with pytest.raises(ImageError, match="found it forbidden"):
        mine.read("s3://photos/set/none.jpg")


def test_no_image_is_blamed_where_all_is_closed_in_the_middle(bucket, photos, tmp_path):
    mine = store(tmp_path, attempts=3)
    closed = threading.Event()
    bucket.proxy.fault = lambda method, path, before: "forbidden" if closed.is_set() else None
    first, *rest = photos
    assert mine.read(first) == photos[first]
    closed.set()
    mine.prefetch(rest)
    for uri in rest:
        with pytest.raises(ImageStoreError, match="AWS_ACCESS_KEY_ID"):
            mine.read(uri)


def test_no_image_is_blamed_for_a_server_that_goes_away(bucket, photos, tmp_path):
    mine = store(tmp_path, attempts=2)
    first, *rest = photos
    assert mine.read(first) == photos[first]
    bucket.proxy.fault = lambda method, path, before: "refused"
    mine.prefetch(rest)
    for uri in rest:
        with pytest.raises(ImageStoreError, match="to answer"):
            mine.read(uri)
