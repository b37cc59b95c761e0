"""Media types: told by a body's first bytes, and which of them zstd cannot shrink."""

from __future__ import annotations

from typing import Final

SNIFFED: Final = 32
"""First bytes of a body that tell its type, when any do."""

# Offset, bytes, media type; the first that fits counts.
_MAGIC: Final = (
    (0, b"\x89PNG\r\n\x1a\n", "image/png"),
    (0, b"\xff\xd8\xff", "image/jpeg"),
    (0, b"GIF8", "image/gif"),
    (8, b"WEBP", "image/webp"),
    (8, b"WAVE", "audio/wav"),
    (8, b"AVI ", "video/x-msvideo"),
    (4, b"ftypavif", "image/avif"),
    (4, b"ftyphei", "image/heic"),
    (4, b"ftypM4A", "audio/mp4"),
    (4, b"ftypqt", "video/quicktime"),
    (4, b"ftyp", "video/mp4"),
    (0, b"\x1aE\xdf\xa3", "video/webm"),
    (0, b"OggS", "audio/ogg"),
    (0, b"fLaC", "audio/flac"),
    (0, b"ID3", "audio/mpeg"),
    (0, b"\xff\xfb", "audio/mpeg"),
    (0, b"PK\x03\x04", "application/zip"),
    (0, b"\x1f\x8b", "application/gzip"),
    (0, b"\x28\xb5\x2f\xfd", "application/zstd"),
    (0, b"BZh", "application/x-bzip2"),
    (0, b"\xfd7zXZ\x00", "application/x-xz"),
    (0, b"7z\xbc\xaf\x27\x1c", "application/x-7z-compressed"),
    (0, b"Rar!\x1a\x07", "application/vnd.rar"),
    (0, b"\x04\x22\x4d\x18", "application/x-lz4"),
    (0, b"wOF2", "font/woff2"),
    (0, b"wOFF", "font/woff"),
    (0, b"%PDF-", "application/pdf"),
    (0, b"PAR1", "application/vnd.apache.parquet"),
    (0, b"SQLite format 3\x00", "application/vnd.sqlite3"),
    (0, b"\x7fELF", "application/x-executable"),
    (0, b"BM", "image/bmp"),
    (0, b"II*\x00", "image/tiff"),
    (0, b"MM\x00*", "image/tiff"),
)
_CONTAINERS: Final = frozenset({"image/webp", "audio/wav", "video/x-msvideo"})
_DENSE_KINDS: Final = frozenset({"audio", "image", "video"})
_LOOSE: Final = frozenset(
    {
        *("audio/wav", "audio/x-wav", "audio/basic", "audio/midi", "image/bmp"),
        *("image/tiff", "image/x-icon", "image/vnd.microsoft.icon"),
    }
)
_DENSE: Final = frozenset(
    {
        *("application/zip", "application/gzip", "application/x-gzip"),
        *("application/zstd", "application/x-bzip2", "application/x-xz"),
        *("application/x-7z-compressed", "application/vnd.rar", "application/x-lz4"),
        *("application/x-rar-compressed", "application/java-archive"),
        *("application/vnd.android.package-archive", "application/epub+zip"),
        *("application/vnd.apache.parquet", "font/woff", "font/woff2"),
    }
)
_OFFICE: Final = (
    "application/vnd.openxmlformats-officedocument.",
    "application/vnd.oasis.opendocument.",
)


def media_type_of(beginning: bytes) -> str | None:
    """Return the media type that a body's first bytes tell, None when they do not.

    Args:
        beginning: At least the first `SNIFFED` bytes, fewer when there are no more.
    """
    for offset, magic, found in _MAGIC:
        if beginning.startswith(magic, offset):
            if found in _CONTAINERS and not beginning.startswith(b"RIFF"):
                continue
            return found
    return None


def is_dense(media_type: str | None) -> bool:
    """Tell whether bytes of a media type are compressed already."""
    name = (media_type or "").partition(";")[0].strip().lower()
    if name in _LOOSE or name.endswith("+xml"):
        return False
    kind = name.partition("/")[0]
    return kind in _DENSE_KINDS or name in _DENSE or name.startswith(_OFFICE)


def accepted_encodings(header: str) -> list[str]:
    """Return the names in an Accept-Encoding header, those with `q=0` left out.

    Args:
        header: The header's value.
    """
    names: list[str] = []
    for item in header.split(","):
        name, *parameters = (part.strip().lower() for part in item.split(";"))
        if name and not any(_is_zero(each) for each in parameters):
            names.append(name)
    return names


def _is_zero(parameter: str) -> bool:
    name, _, weight = parameter.partition("=")
    return name.strip() == "q" and weight.strip().rstrip("0") in ("", "0.", "0")
