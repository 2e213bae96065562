"""Addresses of images are strings, and what lies in what is told of all kinds alike."""

from pathlib import Path

import pytest

from boxwise.data.addresses import absolute, address_in, folder_of, given, is_local, name_of, parent, place_of, redacted, scheme_of
from boxwise.records import ImageRecord

REMOTE = ("s3://bucket/photos/a b/ü.jpg", "https://host/photos/a b/ü.jpg", "tar://a b/ü.jpg::s3://bucket/photos/x.tar")


@pytest.mark.parametrize("uri", REMOTE)
def test_an_address_is_what_was_given_to_its_last_slash(uri):
    assert ImageRecord("a", uri, 1, 1).uri == uri == absolute(uri) == given(uri) and not is_local(uri)


@pytest.mark.parametrize("path", ["a/b.jpg", "/data/a.jpg", "C:\\photos\\a.jpg", "odd:name.jpg"])
def test_a_path_of_this_machine_is_one(path):
    assert is_local(path) and is_local(Path(path)) and scheme_of(path) is None


@pytest.mark.parametrize(
    ("folder", "address"),
    [
        ("/data/photos", "/data/photos/a/b.jpg"),
        ("s3://bucket", "s3://bucket/a/b.jpg"),
        ("s3://bucket/photos", "s3://bucket/photos/a/b.jpg"),
        ("tar://::s3://bucket/x.tar", "tar://a/b.jpg::s3://bucket/x.tar"),
        ("tar://::/data/x.tar", "tar://a/b.jpg::/data/x.tar"),
    ],
)
def test_an_image_lies_in_its_folder_by_its_id(folder, address):
    assert address_in(folder, "a/b.jpg") == address and folder_of(address, "a/b.jpg") == folder
    assert name_of(address) == "b.jpg" and folder_of(address, "c.jpg") is None


def test_an_image_deeper_in_a_shard_lies_in_a_folder_of_it():
    assert address_in("tar://train::s3://b/x.tar", "a.jpg") == "tar://train/a.jpg::s3://b/x.tar"
    assert folder_of("tar://train/a.jpg::s3://b/x.tar", "a.jpg") == "tar://train/::s3://b/x.tar"


def test_what_a_person_writes_is_taken_as_meant():
    assert given("file:///data/a%20b") == "/data/a b"
    assert given("s3://b/x.tar") == "tar://::s3://b/x.tar" and given("x.tar") == "tar://::x.tar"
    assert parent("s3://b/c/a.jpg") == "s3://b/c"


def test_relative_shards_are_found_from_anywhere():
    assert absolute("tar://a.jpg::x.tar") == f"tar://a.jpg::{Path('x.tar').absolute()}"


@pytest.mark.parametrize(
    "secret", ["https://me:secret@host/a.jpg", "https://host/a.jpg?sig=secret&se=1", "see 'https://host/a.jpg?sig=secret'"]
)
def test_what_lets_one_in_is_not_shown(secret):
    assert "secret" not in redacted(secret) and "host/a.jpg" in redacted(secret)


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("/data/a/b.jpg", "/data/a"),
        ("https://h.org/a/1.jpg?sig=x/y", "https://h.org"),
        ("https://h.org", "https://h.org"),
        ("s3://bucket/a/b.jpg", "s3://bucket"),
        ("tar://a/b.jpg::s3://bucket/c/x.tar", "s3://bucket/c/x.tar"),
        ("tar://b.jpg::/data/x.tar", "/data/x.tar"),
    ],
)
def test_an_image_lies_in_a_place_that_is_there_as_a_whole_or_not_at_all(address, place):
    assert place_of(address) == place
