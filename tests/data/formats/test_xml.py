import math

import pytest

from boxwise.data.formats.xml import number, root_of, size
from boxwise.errors import BoxwiseError

ENTITY = b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'


def test_the_root_by_its_name(tmp_path):
    (tmp_path / "a.xml").write_bytes(b"<annotation><object/></annotation>")
    assert [child.tag for child in root_of(tmp_path / "a.xml", "annotation", owner="VOC")] == ["object"]


@pytest.mark.parametrize("content", [b"", b"<annotation>", b"<annotation>\xff</annotation>", ENTITY])
def test_what_is_no_sound_xml_is_named_with_its_file(tmp_path, content):
    (tmp_path / "a.xml").write_bytes(content)
    with pytest.raises(BoxwiseError, match=r"a\.xml: expected well-formed XML without entities, found: .+\."):
        root_of(tmp_path / "a.xml", "annotation", owner="VOC")


def test_another_root_is_named_beside_the_one_expected(tmp_path):
    (tmp_path / "a.xml").write_bytes(b"<svg/>")
    with pytest.raises(BoxwiseError, match=r"a\.xml: expected VOC's <annotation>, found <svg>\."):
        root_of(tmp_path / "a.xml", "annotation", owner="VOC")


def test_numbers_and_what_is_none():
    assert [number(text) for text in ("3", "-1.5", "1e3")] == [3, -1.5, 1000]
    assert all(math.isnan(number(text)) for text in (None, "", "wide", "3px"))


@pytest.mark.parametrize("height", [None, "", "0", "-4", "nan", "inf", "tall"])
def test_a_size_is_two_numbers_above_0_or_none(height):
    assert size("640.0", "480") == (640, 480)
    assert size("640", height) is None and size(height, "640") is None
