"""A study of images in a bucket, by the commands that a person gives; each image is downloaded once, and faults are one message."""

import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from boxwise.config import ImagesConfig
from boxwise.data import image_store
from boxwise.data.formats.coco import Coco
from boxwise.records import Split
from boxwise.study import Study

pytestmark = pytest.mark.slow


@pytest.fixture
def photos(bucket, digits):
    """Sixteen digit scenes as objects s3://photos/set/…; image id → bytes."""
    pool = [record for record in digits.images if record.split is Split.TRAIN][:16]
    contents = {record.image_id: Path(record.uri).read_bytes() for record in pool}
    for image_id, content in contents.items():
        bucket.put(f"set/{image_id}", content)
    return contents


@pytest.fixture
def init(boxwise, digits, tmp_path, tiny_overrides):
    """`init("--images", X)` → (exit code, stdout, stderr) of a study of the digits' classes in tmp_path/study."""
    small = ("scorer.name=none", "strategy.name=random", "budget.rounds=1", "images.attempts=3")
    names = ",".join(digits.classes)
    return lambda *given: boxwise("init", tmp_path / "study", *given, "--classes", names, *tiny_overrides, *small)


def downloads(bucket):
    return bucket.proxy.images()


def label_all(folder, digits):
    study = Study.open(folder)
    truth = digits.labels
    from boxwise.annotation.verdicts import drawn

    for image_id in study.ask().image_ids:
        study.tell(image_id, drawn(truth[image_id], study.config.cost))
    study.store.close()


def test_a_round_downloads_each_image_once_through_faults(bucket, photos, init, boxwise, digits, tmp_path):
    bucket.proxy.fault = lambda method, path, before: (
        ("error", "cut", "refused")[hash(path) % 3] if path.endswith(".png") and not before else None
    )
    code, out, err = init("--images", "s3://photos/set")
    assert code == 0 and f"{len(photos)} images" in out, err
    folder = tmp_path / "study"
    assert boxwise("run", folder)[0] == 0
    label_all(folder, digits)
    code, out, err = boxwise("run", folder)
    assert code == 0 and "waits for labels" in out, err
    assert downloads(bucket) == {f"/photos/set/{image_id}": 1 for image_id in photos}
    assert {r.image_id: r.uri for r in Study.open(folder).images()} == {i: f"s3://photos/set/{i}" for i in photos}

    code, out, _ = boxwise("query", folder, "--out", tmp_path / "asked.txt")
    assert code == 0 and (tmp_path / "asked.txt").read_text().startswith("s3://photos/set/")
    assert boxwise("export", folder, tmp_path / "out", "--format", "voc", "--copy-images")[0] == 0
    copied = {path.name: path.read_bytes() for path in (tmp_path / "out" / "JPEGImages").iterdir()}
    assert copied and all(photos[name] == content for name, content in copied.items())
    code, out, err = boxwise(
        "predict", folder, *(f"s3://photos/set/{i}" for i in [*list(photos)[:2], "none.png"]), "--out", tmp_path / "seen"
    )
    assert code == 0 and "in 2 images" in out and "s3://photos/set/none.png: expected an image, found no such object" in err
    assert len(json.loads((tmp_path / "seen" / "predictions.json").read_text())["images"]) == 2
    assert set(downloads(bucket).values()) == {1}


def test_workers_read_it_too_and_doctor_says_what_has_changed(bucket, photos, init, boxwise, digits, tmp_path):
    assert init("--images", "s3://photos/set", "workers=2")[0] == 0
    folder = tmp_path / "study"
    boxwise("run", folder)
    label_all(folder, digits)
    assert boxwise("run", folder)[0] == 0
    assert set(downloads(bucket).values()) == {1}
    first, second, *_ = photos
    bucket.remove(f"set/{first}")
    bucket.put(f"set/{second}", photos[first])
    image_store.use(ImagesConfig(attempts=2))  # as another process, which has asked nothing yet
    code, out, _ = boxwise("doctor", folder)
    assert code == 1 and f"{first}: missing" in out and f"{second}: changed" in out and "1 missing, 1 changed" in out


def test_broken_images_are_set_aside_and_the_rest_makes_a_study(bucket, photos, init, boxwise, tmp_path):
    bucket.put("set/broken.png", b"no image")
    bucket.put("set/a\\..\\..\\escape.png", next(iter(photos.values())) + b"x")
    code, out, err = init("--images", "s3://photos/set")
    assert code == 0 and f"{len(photos)} images" in out and "2 images are quarantined" in err
    assert not list(tmp_path.rglob("escape.png"))
    code, out, _ = boxwise("doctor", "s3://photos/set")
    assert code == 1 and f"{len(photos)} usable images" in out and "s3://photos/set/broken.png: expected an image that decodes" in out
    assert boxwise("doctor", "s3://photos/set", "--fix", tmp_path / "fixed")[0] == 1
    assert {path.name: path.read_bytes() for path in (tmp_path / "fixed").rglob("*.png")} == photos


def test_a_tar_shard_is_a_folder_of_images(bucket, photos, init, boxwise, tmp_path):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for image_id, content in photos.items():
            member = tarfile.TarInfo(image_id)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    bucket.put("shards/one.tar", stream.getvalue())
    assert init("--images", "s3://photos/shards/one.tar")[0] == 0
    assert {r.uri for r in Study.open(tmp_path / "study").images()} == {f"tar://{i}::s3://photos/shards/one.tar" for i in photos}
    assert bucket.proxy.served["GET", "/photos/shards/one.tar"] == 1
    code, out, err = boxwise("run", tmp_path / "study")
    assert code == 0 and "waits for labels" in out, err


@pytest.mark.parametrize(
    ("images", "said"),
    [
        ("s4://photos/set", "Unknown scheme 's4'. Did you mean 's3'"),
        ("s3://nowhere/set", "expected s3://nowhere to be there, found no such place"),
        ("s3://photos/empty", "expected a folder with images, found none"),
        ("https://127.0.0.1/set", "Give a file of addresses"),
        ("gs://photos/set", "pip install 'boxwise[remote]' gcsfs"),
        ("tar://a.png::nowhere.tar", "nowhere.tar: expected a tar file"),
    ],
)
def test_what_cannot_be_read_is_one_message_and_leaves_nothing(bucket, photos, init, tmp_path, images, said):
    code, _, err = init("--images", images)
    assert code == 2 and said in err and len(err.strip().splitlines()) == 1 and not (tmp_path / "study").exists()


def test_credentials_that_end_during_a_run_lose_nothing(bucket, photos, init, boxwise, tmp_path, monkeypatch):
    assert init("--images", "s3://photos/set", "cold_start.name=k_center", "cold_start.embedding=vae")[0] == 0
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    image_store.use(ImagesConfig(attempts=2))
    bucket.proxy.fault = lambda method, path, before: "forbidden"
    code, _, err = boxwise("run", tmp_path / "study")
    assert code == 2 and "AWS_ACCESS_KEY_ID" in err and "hunter2" not in err and len(err.strip().splitlines()) == 1
    assert not Study.open(tmp_path / "study").quarantined()
    bucket.proxy.calm()
    image_store.use(ImagesConfig(attempts=2))  # as another process, a while later
    code, _, err = boxwise("run", tmp_path / "study")
    assert code == 0, err


def test_labels_of_this_machine_fit_images_of_a_bucket(bucket, photos, init, boxwise, digits, tmp_path, monkeypatch):
    known = replace(digits, images=tuple(r for r in digits.images if r.image_id in photos))
    Coco().write(replace(known, labels={i: digits.labels[i] for i in photos}), tmp_path / "all.json")
    code, out, err = init("--images", "s3://photos/set", "--labels", tmp_path / "all.json")
    assert code == 0 and f"{len(photos)} images, {len(photos)} of them labelled" in out, err
    assert downloads(bucket) == {f"/photos/set/{image_id}": 1 for image_id in photos}
    bucket.proxy.calm()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "other"))
    image_store.use(ImagesConfig(attempts=2))  # as on another machine, which has no copies
    code, out, err = boxwise("import", tmp_path / "study", tmp_path / "all.json")
    assert code == 0 and f"0 images labelled, {len(photos)} known already" in out, err
    assert not downloads(bucket)
    code, _, err = boxwise("import", tmp_path / "study", "s3://photos/all.json")
    assert code == 2 and "labels are read here alone" in err


def test_images_move_into_a_bucket_and_more_join_there(bucket, photos, boxwise, digits, tmp_path, tiny_overrides):
    folder = tmp_path / "here"
    folder.mkdir()
    for image_id, content in photos.items():
        (folder / image_id).write_bytes(content)
    names = ",".join(map(str, range(10)))
    assert boxwise("init", tmp_path / "study", "--images", folder, "--classes", names, *tiny_overrides)[0] == 0
    code, out, err = boxwise("relocate", tmp_path / "study", "--images", "s3://photos/set")
    assert code == 0 and f"{len(photos)} images are found in s3://photos/set now" in out, err
    shutil.rmtree(folder)
    more = next(r for r in digits.images if r.image_id not in photos)
    bucket.put(f"set/{more.image_id}", Path(more.uri).read_bytes())
    code, out, err = boxwise("add", tmp_path / "study", "--images", "s3://photos/set")
    assert code == 0 and f"1 image joined, 0 of them labelled; {len(photos)} were in the study already" in out, err
    assert all(r.uri == f"s3://photos/set/{r.image_id}" for r in Study.open(tmp_path / "study").images())
    assert boxwise("status", tmp_path / "study")[0] == 0 and set(downloads(bucket).values()) == {1}


def test_a_list_of_addresses_opens_none_until_it_is_asked_about(bucket, photos, init, boxwise, tmp_path):
    (tmp_path / "list.txt").write_text("".join(f"s3://photos/set/{name}\n" for name in (*photos, "none.png")))
    code, out, err = init("--images", tmp_path / "list.txt")
    assert code == 0 and f"{len(photos) + 1} images" in out and not bucket.proxy.asked, err
    code, out, err = boxwise("run", tmp_path / "study")
    assert code == 0 and "waits for labels" in out, err
    asked = Study.open(tmp_path / "study").ask().image_ids
    assert set(downloads(bucket)) == {f"/photos/set/{name}" for name in asked} and set(downloads(bucket).values()) == {1}
