"""Pictures for the browser: a file that is gone is a message, not a crash."""

import pytest

from boxwise.errors import ImageError
from boxwise.web.pictures import etag


def test_a_file_that_is_gone_is_named_and_a_changed_one_has_another_tag(tmp_path):
    path = tmp_path / "a.jpg"
    with pytest.raises(ImageError, match=r"a\.jpg: cannot be read \(No such file"):
        etag(path)
    path.write_bytes(b"one")
    first = etag(path)
    path.write_bytes(b"other")
    assert etag(path) != first
