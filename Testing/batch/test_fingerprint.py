"""Files that were touched are the same, files that have changed are not."""

from __future__ import annotations

import os

from GANSegmentationLib.batch.fingerprint import content_checksum, fingerprint


def test_size_time_and_number_of_files_count_and_their_order_does_not(tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]
    for file in files:
        file.write_text("text")
    first = fingerprint(files)
    assert fingerprint(files[::-1]) == first
    assert fingerprint(files[:1]) != first
    os.utime(files[0], ns=(1, 1))
    assert fingerprint(files) != first
    files[0].unlink()
    assert fingerprint(files)


def test_contents_count_whatever_the_names(tmp_path):
    for name, text in (("a", "1"), ("b", "2"), ("c", "1")):
        (tmp_path / name).write_text(text)
    a, b, c = (tmp_path / name for name in "abc")
    assert content_checksum([a, b]) == content_checksum([b, c])
    assert content_checksum([a]) != content_checksum([b])
