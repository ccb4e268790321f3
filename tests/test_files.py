"""Files are whole or not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from secagg import files
from secagg.errors import ConfigurationError
from secagg.files import check_directory, write


def test_a_file_replaces_an_older_one_and_leaves_nothing_else(tmp_path):
    for content in (b"old", b"new"):
        write(tmp_path / "report.html", content)

    assert [tmp_path / "report.html"] == list(tmp_path.iterdir())
    assert b"new" == (tmp_path / "report.html").read_bytes()
    assert 0o644 == (tmp_path / "report.html").stat().st_mode & 0o777


def test_a_write_that_fails_leaves_the_older_file(tmp_path, monkeypatch):
    write(tmp_path / "report.html", b"old")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(tmp_path / "report.html", b"new")

    assert [tmp_path / "report.html"] == list(tmp_path.iterdir())
    assert b"old" == (tmp_path / "report.html").read_bytes()


def test_a_place_that_takes_no_file_is_named_as_it_was_given(tmp_path):
    with pytest.raises(FileNotFoundError, match=f"No such directory: '{tmp_path / 'none'}'"):
        write(tmp_path / "none" / "report.html", b"")
    with pytest.raises(IsADirectoryError, match=f"not a file: '{tmp_path}'"):
        write(str(tmp_path), b"")
    for odd in ("\ud800", "a\0b"):
        with pytest.raises(OSError, match="No name of a file"):
            write(tmp_path / odd, b"")


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    loose, file = tmp_path / "loose", tmp_path / "file"
    loose.symlink_to(tmp_path / "nowhere")
    file.write_bytes(b"")
    for place in (Path("/proc/sys/run"), Path("/dev/null"), loose, file, file / "below"):
        with pytest.raises(ConfigurationError, match=r"name (another|a) directory"):
            check_directory(place)
    check_directory(tmp_path / "deep" / "er")

    assert {loose, file} == set(tmp_path.iterdir())
