"""Media types by first bytes, dense ones, and Accept-Encoding."""

from __future__ import annotations

import gzip
import io
import wave
import zipfile

import pytest

from coatcheck._core.media import (
    SNIFFED,
    accepted_encodings,
    is_dense,
    media_type_of,
)
from coatcheck.payloads._compression import compress


def a_zip():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a", "b")
    return file.getvalue()


def a_wave():
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(100))
    return file.getvalue()


@pytest.mark.parametrize(
    ("beginning", "found"),
    [
        (a_zip(), "application/zip"),
        (a_wave(), "audio/wav"),
        (gzip.compress(b"x", mtime=0), "application/gzip"),
        (compress(b"x"), "application/zstd"),
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "image/png"),
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"GIF89a", "image/gif"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        (b"xxxx\x00\x00\x00\x00WEBPVP8 ", None),
        (b"\x00\x00\x00\x20ftypisom", "video/mp4"),
        (b"\x00\x00\x00\x20ftypheic", "image/heic"),
        (b"%PDF-1.7", "application/pdf"),
        (b"hello", None),
        (b"", None),
        (b"\x89PN", None),
        (b"<html>", None),
    ],
)
def test_types_by_first_bytes(beginning, found):
    """The first bytes tell the type, or nothing; more of them change nothing."""
    assert media_type_of(beginning) == found
    assert media_type_of(beginning[:SNIFFED]) == found


@pytest.mark.parametrize(
    ("media_type", "dense"),
    [
        ("image/png", True),
        ("IMAGE/JPEG", True),
        ("video/mp4; codecs=avc1", True),
        ("audio/mpeg", True),
        ("application/zip", True),
        (
            "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
            True,
        ),
        ("font/woff2", True),
        ("image/svg+xml", False),
        ("image/bmp", False),
        ("audio/wav", False),
        ("application/json", False),
        ("text/plain", False),
        ("application/octet-stream", False),
        ("application/pdf", False),
        ("", False),
        (None, False),
    ],
)
def test_dense_types(media_type, dense):
    """Pictures, sound, films and archives are compressed already, most of them."""
    assert is_dense(media_type) is dense


@pytest.mark.parametrize(
    ("header", "names"),
    [
        ("gzip, zstd", ["gzip", "zstd"]),
        ("GZIP;q=1.0, zstd;q=0.5, br;q=0", ["gzip", "zstd"]),
        ("br;q=0.0, *;q=0.001", ["*"]),
        ("zstd ; q=0.000", []),
        ("", []),
        (" , ", []),
        ("identity", ["identity"]),
        ("gzip;level=0", ["gzip"]),
    ],
)
def test_accepted_encodings(header, names):
    """Names in lower case and in order, without those of weight zero."""
    assert accepted_encodings(header) == names
