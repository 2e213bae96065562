"""Lists of images: which addresses and ids they give, and what is said of the lines that cannot be used."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from boxwise.data.datasets import read_pool
from boxwise.data.formats.image_list import read_image_list
from boxwise.errors import BoxwiseError


def ids_and_paths(dataset):
    return {record.image_id: record.uri for record in dataset.images}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lines_are_addresses_from_the_lists_folder(tmp_path, encoding):
    (tmp_path / "list.txt").write_text("a/ä 1.jpg\r\n\n ./b.PNG \n", encoding=encoding)
    found = read_pool(tmp_path / "list.txt", None, classes=("cat",))
    assert ids_and_paths(found) == {"a/ä 1.jpg": str(tmp_path / "a/ä 1.jpg"), "b.PNG": str(tmp_path / "b.PNG")}
    assert found.classes == ("cat",) and found.listed and not any(record.measured for record in found.images)
    assert "none was opened" in found.notes[0]


def test_absolute_addresses_are_called_after_what_they_do_not_share(tmp_path):
    (tmp_path / "list.txt").write_text("/data/set/one/1.jpg\n/data/set/two/1.jpg\n/data/set/one/2.jpg\n")
    assert list(ids_and_paths(read_image_list(tmp_path / "list.txt"))) == ["one/1.jpg", "two/1.jpg", "one/2.jpg"]


def test_a_table_may_name_its_images(tmp_path):
    (tmp_path / "list.csv").write_text('score,path,image_id\n1,"x, y.jpg",first\n2,b.jpg,\n')
    assert ids_and_paths(read_image_list(tmp_path / "list.csv")) == {"first": str(tmp_path / "x, y.jpg"), "b.jpg": str(tmp_path / "b.jpg")}
    pq.write_table(pa.table({"uri": ["a.jpg", None, "b.jpg"], "image_id": ["one", "no", "two"]}), tmp_path / "list.parquet")
    assert list(ids_and_paths(read_image_list(tmp_path / "list.parquet"))) == ["one", "two"]


def test_what_cannot_be_used_is_named_and_the_rest_is_taken(tmp_path):
    (tmp_path / "list.csv").write_text("path,image_id\na.jpg,\na.jpg,\nb.jpg,a.jpg\nnotes.docx,\nc\x07.jpg,\n")
    found = read_image_list(tmp_path / "list.csv")
    assert list(ids_and_paths(found)) == ["a.jpg"]
    said = [finding.message for finding in found.findings]
    assert len(said) == 3 and "one image called a.jpg" in said[0] and "notes.docx" in said[1] and "control characters" in said[2]
    assert "1 lines" in found.notes[1]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("list.txt", b"\n\n", "found none"),
        ("list.csv", b"name,size\na.jpg,3\n", "expected a column named path, uri, url, file_name or image, found name, size"),
        ("list.csv", b"", "found none"),
        ("list.txt", b"a.jpg\nftp2://host/b.jpg\n", "Unknown scheme"),
        ("list.parquet", b"no table", "expected a Parquet table"),
    ],
)
def test_a_file_that_lists_nothing_is_refused(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(BoxwiseError, match=said):
        read_image_list(tmp_path / name)


def test_labels_come_after_a_list(tmp_path):
    (tmp_path / "list.txt").write_text("a.jpg\n")
    with pytest.raises(BoxwiseError, match="boxwise import"):
        read_pool(tmp_path / "list.txt", Path("labels"))


def test_links_that_carry_their_signature_are_called_by_their_path(tmp_path):
    (tmp_path / "list.txt").write_text("https://h/set/x/a.jpg?X-Sig=ab/c.d\nhttps://h/set/b.png?X-Sig=abd#top\n")
    found = read_image_list(tmp_path / "list.txt")
    assert ids_and_paths(found) == {"x/a.jpg": "https://h/set/x/a.jpg?X-Sig=ab/c.d", "b.png": "https://h/set/b.png?X-Sig=abd#top"}
    assert not found.findings


def test_links_may_name_the_file_in_their_query(tmp_path):
    links = [f"https://h/set/download.php?cam={n}&file={n}.JPG" for n in range(2)]
    (tmp_path / "list.txt").write_text("\n".join([*links, "https://h/set/a.jpg?like=b.jpg", "https://h/set/get?file=b.txt"]))
    found = read_image_list(tmp_path / "list.txt")
    assert ids_and_paths(found) == {
        "download.php?cam=0&file=0.JPG": links[0], "download.php?cam=1&file=1.JPG": links[1], "a.jpg": "https://h/set/a.jpg?like=b.jpg"
    }  # fmt: skip
    assert len(found.findings) == 1 and "lists https://h/set/get." in found.findings[0].message


def test_a_table_may_name_what_no_address_does(tmp_path):
    (tmp_path / "list.csv").write_text("path,image_id\nhttps://h/get?id=1,one.jpg\ns3://b/0a1b,two.png\ns3://b/0a1c,three\n")
    found = read_image_list(tmp_path / "list.csv")
    assert ids_and_paths(found) == {"one.jpg": "https://h/get?id=1", "two.png": "s3://b/0a1b"}
    assert "whose name or image_id ends in one of" in found.findings[0].message


def test_no_message_shows_a_token_of_a_query_that_names_the_file(tmp_path):
    link = "https://h/get.php?token=SECRET&file=a.jpg"
    (tmp_path / "list.csv").write_text(f"path,image_id\n{link},\n{link},one.jpg\n{link}#top,\n")
    found = read_image_list(tmp_path / "list.csv")
    assert list(ids_and_paths(found).values()) == [link] and len(found.findings) == 2
    assert all("https://h/get.php" in finding.message and "SECRET" not in finding.message for finding in found.findings)


def test_no_message_shows_a_signature(tmp_path):
    lines = (
        "https://h/a.jpg?X-Sig=SECRET1",
        "https://h/a.jpg?X-Sig=SECRET2",
        "https://h/a.docx?X-Sig=SECRET3",
        "https://u:SECRET4@h/b.pdf",
    )
    (tmp_path / "list.txt").write_text("\n".join(lines))
    found = read_image_list(tmp_path / "list.txt")
    assert list(found.images) and len(found.findings) == 3
    assert all("https://h" in finding.message and "SECRET" not in finding.message for finding in found.findings)


def test_a_key_of_a_bucket_may_hold_a_question_mark(tmp_path):
    (tmp_path / "list.txt").write_text("s3://b/what?.jpg\ns3://b/x.jpg\n")
    assert list(ids_and_paths(read_image_list(tmp_path / "list.txt"))) == ["what?.jpg", "x.jpg"]


def test_a_file_that_is_listed_by_two_paths_is_one_image(tmp_path):
    (tmp_path / "list.txt").write_text(f"sub/a.jpg\n{tmp_path}/sub/a.jpg\n./sub/../sub/a.jpg\n{tmp_path}/b.jpg\n")
    found = read_image_list(tmp_path / "list.txt")
    assert ids_and_paths(found) == {"sub/a.jpg": str(tmp_path / "sub/a.jpg"), "b.jpg": str(tmp_path / "b.jpg")}
    assert "2 lines" in found.notes[1] and not found.findings


def test_a_file_with_two_names_is_taken_once_and_named(tmp_path):
    (tmp_path / "list.csv").write_text("path,image_id\na.jpg,one\na.jpg,two\n")
    found = read_image_list(tmp_path / "list.csv")
    assert list(ids_and_paths(found)) == ["one"]
    assert f"expected one name for {tmp_path}/a.jpg, found one and two" in found.findings[0].message


@pytest.mark.parametrize(
    ("lines", "ids"),
    [
        (["http://host:80/set/1.jpg", "http://host:80/set/2.jpg", "1.jpg"], ["host:80/set/1.jpg", "host:80/set/2.jpg", "1.jpg"]),
        (["http://h/1.jpg", "s3://bucket/x/1.jpg"], ["h/1.jpg", "bucket/x/1.jpg"]),
        (["http://h/x/1.jpg", "https://h/x/2.jpg?sig=1"], ["1.jpg", "2.jpg"]),
        (["s3://b/x/1.jpg", "/data/x/1.jpg"], ["b/x/1.jpg", "data/x/1.jpg"]),
        (["http://u:SECRET@h/1.jpg", "s3://b/1.jpg"], ["h/1.jpg", "b/1.jpg"]),
        (["http://u:SECRET@h/1.jpg", "http://g/1.jpg"], ["h/1.jpg", "g/1.jpg"]),
        (["http://u:SECRET@h/x/1.jpg", "http://h/x/2.jpg"], ["1.jpg", "2.jpg"]),
        (["tar://a.jpg::/x/1.tar", "tar://c/b.jpg::/x/1.tar"], ["a.jpg", "c/b.jpg"]),
        (["tar://a.jpg::s3://b/1.tar", "tar://a.jpg::s3://b/2.tar"], ["1.tar/a.jpg", "2.tar/a.jpg"]),
        (["http://h/x/1.jpg", "# a comment", "http://h/y/1.jpg"], ["x/1.jpg", "y/1.jpg"]),
    ],
)
def test_addresses_of_several_kinds_are_called_from_the_host_or_the_bucket_on(tmp_path, lines, ids):
    (tmp_path / "list.txt").write_text("\n".join(lines))
    found = read_image_list(tmp_path / "list.txt")
    assert list(ids_and_paths(found)) == ids
    assert [finding.message.partition(" lists ")[2][:11] for finding in found.findings] == ["# a comment" for line in lines if "#" in line]


def test_addresses_of_files_are_paths(tmp_path):
    (tmp_path / "list.txt").write_text(f"{(tmp_path / 'a 1.jpg').as_uri()}\nb.jpg\n")
    found = read_image_list(tmp_path / "list.txt")
    assert ids_and_paths(found) == {"a 1.jpg": str(tmp_path / "a 1.jpg"), "b.jpg": str(tmp_path / "b.jpg")} and not found.findings
