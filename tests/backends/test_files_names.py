"""How keys become paths, and back."""

from __future__ import annotations

import os
import string
import unicodedata
from contextlib import aclosing

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from coatcheck._core.names import check_key
from coatcheck.backends._filesystem._names import (
    decode_segment,
    encode_key,
    encode_segment,
    is_hashed,
)
from coatcheck.errors import InvalidName, ObjectNotFound

BODY = b"coat"
NAME_MAX = 255
LEGAL = set(string.ascii_lowercase + string.digits + "-_.%@")


def is_canonical(key):
    try:
        check_key(key)
    except InvalidName:
        return False
    return True


segments = (
    st.one_of(
        st.text(max_size=12),
        st.text("aAbB.%+@-_ 0é", max_size=6),
        st.text("ab%", min_size=190, max_size=260),
    )
    .map(lambda text: unicodedata.normalize("NFC", text.replace("/", "")))
    .filter(is_canonical)
)
keys = st.lists(segments, min_size=1, max_size=4).map("/".join).filter(is_canonical)


async def keys_of(bucket, prefix="", **options):
    found = []
    async with aclosing(bucket.scan(prefix, **options)) as pages:
        async for page in pages:
            found += [*(entry.key for entry in page.entries), *page.prefixes]
    return found


@pytest.mark.parametrize(
    ("segment", "name"),
    [
        ("plain-name_1.txt", "plain-name_1.txt"),
        ("Upper", "%55pper"),
        (".hidden", "%2ehidden"),
        ("...", "%2e.."),
        ("dot.", "dot."),
        ("con", "con"),
        ("nul.txt", "nul.txt"),
        ("a b", "a%20b"),
        ("a:b*c?", "a%3ab%2ac%3f"),
        ("100%", "100%25"),
        ("%2e", "%252e"),
        ("back\\slash", "back%5cslash"),
        ("a+", "a%2b"),
        ("@a", "%40a"),
        ("~", "%7e"),
        ("é", "%c3%a9"),
        ("ß", "%c3%9f"),
        ("İ", "%c4%b0"),
        ("🧥", "%f0%9f%a7%a5"),
        ("x" * 200, "x" * 200),
    ],
)
def test_a_segment_has_one_name(segment, name):
    """The encoding is what it is: changing it would lose stored objects."""
    assert encode_segment(segment) == name
    assert decode_segment(name) == segment


@pytest.mark.parametrize("segment", ["x" * 201, "X" * 67, "é" * 34, "🧥" * 256])
def test_long_segments_are_hashed(segment):
    """A name that would be too long for a file system is a digest of fixed length."""
    name = encode_segment(segment)
    assert is_hashed(name)
    assert len(name) == 65
    assert decode_segment(name) is None


@pytest.mark.parametrize(
    "name",
    [
        *("", ".", "..", ".hidden", "Upper", "a+", "a b", "é", "%", "%2", "%2E", "%zz"),
        *("%61", "a%2d", "%ff", "%c3", "%c0%ae", "%ed%a0%80", "@", "a\n", "x" * 201),
    ],
)
def test_other_names_decode_to_nothing(name):
    """A name that the encoding does not make stands for no segment."""
    assert decode_segment(name) is None


@given(segments)
@example("%2e%2e")
@example("@" + "0" * 64)
@example("K")
def test_encoding_is_reversible(segment):
    """A name tells its segment, unless it is a digest."""
    name = encode_segment(segment)
    assert is_hashed(name) or decode_segment(name) == segment


@given(segments, segments)
@example("a", "A")
@example("ſ", "s")
@example("K", "K")
@example("ß", "ss")
def test_encoding_is_injective_where_case_is_folded(one, other):
    """No two segments share a name, nor would they if case did not count."""
    names = [encode_segment(each) for each in (one, other)]
    assert (names[0].casefold() == names[1].casefold()) == (one == other)


@given(keys, keys)
def test_no_objects_file_is_a_folder_of_another(one, other):
    """Keys have paths of their own, and a file is never in another's way."""
    paths = [(*folders, name) for folders, name in map(encode_key, (one, other))]
    assert (paths[0] == paths[1]) == (one == other)
    shorter, longer = sorted(paths, key=len)
    assert one == other or longer[: len(shorter)] != shorter


@given(keys)
def test_names_stay_inside_and_are_legal_everywhere(key):
    """No name is a relative path, hidden, too long or of a character in doubt."""
    folders, name = encode_key(key)
    assert all(folder.endswith("+") for folder in folders)
    for each in (*(folder[:-1] for folder in folders), name):
        assert set(each) <= LEGAL
        assert not each.startswith(".")
        assert 0 < len(each) < NAME_MAX


@given(st.text(max_size=20))
def test_decoding_any_name_is_total(name):
    """Whatever stands in a folder decodes to nothing or to what encodes to it."""
    segment = decode_segment(name)
    assert segment is None or encode_segment(segment) == name


ODD_KEYS = (
    *(
        "a",
        "a/b",
        "a/b/c",
        "A",
        "a.",
        "a..",
        "a b",
        ".a",
        "..a",
        "...",
        "con",
        "aux/nul",
    ),
    *("a+", "a+/b", "@", "%", "%2e%2e/x", "~", "-", "é", "e", "🧥", "\\..\\x", "C:\\x"),
    *("x" * 1024, "X" * 400, "/".join("d" * 100), "/".join(["Long" * 60] * 4), "ſ"),
)


@pytest.mark.asyncio
async def test_odd_keys_all_stand_side_by_side(bucket, read):
    """Each key gives its own object, in one bucket, and is listed as it is."""
    for key in ODD_KEYS:
        await bucket.put(key, key.encode())
    for key in ODD_KEYS:
        assert await read(bucket, key) == key.encode()
        assert (await bucket.head(key)).key == key
    assert await keys_of(bucket) == sorted(ODD_KEYS)
    for key in ODD_KEYS[::2]:
        await bucket.delete(key)
    assert await keys_of(bucket) == sorted(ODD_KEYS[1::2])


@pytest.mark.asyncio
async def test_keys_of_the_greatest_length_are_stored(bucket, read):
    """1024 bytes fit, in one segment, in 512, and where every byte is escaped."""
    longest = ["x" * 1024, "/".join("x" * 512) + "y", "É" * 512]
    for key in longest:
        await bucket.put(key, BODY)
        assert await read(bucket, key) == BODY
    assert await keys_of(bucket) == sorted(longest)
    await bucket.sweep()
    assert await keys_of(bucket) == sorted(longest)


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "key",
    [
        *("../x", "a/../../x", "/etc/passwd", "./x", "a//b", "a/", "", ".", ".."),
        *("a\0b", "a\nb", "\ud800", "e\u0301", "x" * 1025, "/".join([".."] * 40)),
    ],
)
async def test_keys_that_lead_out_are_refused(bucket, root, read, key):
    """They cannot be written, are absent to readers, and touch no file at all."""
    secret = root.parent / "x"
    secret.write_bytes(b"secret")
    before = sorted(root.parent.rglob("*"))
    with pytest.raises(InvalidName):
        await bucket.put(key, BODY)
    with pytest.raises(ObjectNotFound):
        await bucket.head(key)
    with pytest.raises(ObjectNotFound):
        await read(bucket, key)
    await bucket.delete(key)
    assert sorted(root.parent.rglob("*")) == before
    assert secret.read_bytes() == b"secret"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    "name", [".coatcheck", "A", "con", "é" * 127, "x" * 255, "...", "a+", "~", "a b"]
)
async def test_buckets_have_folders_of_their_own(backend, root, read, name):
    """No bucket's name is another bucket's folder, or the control folder."""
    await backend.bucket(name).put("locks/00", BODY)
    await backend.bucket("a").put("locks/00", b"other")
    assert await read(backend.bucket(name), "locks/00") == BODY
    assert await keys_of(backend.bucket(name)) == ["locks/00"]
    assert {path.name for path in (root / ".coatcheck").iterdir()} == {
        "locks",
        "buckets",
    }
    assert len(os.listdir(root)) == 3


@pytest.mark.asyncio
async def test_names_that_are_not_ours_are_not_listed(bucket, files, caplog):
    """Files that somebody put there are skipped, and the log names them."""
    await bucket.put("k", BODY)
    folder = files.of("k").parent
    for name in (b"Upper", b".hidden", b"%zz", b"\xff\xfe", b"core.c~"):
        os.mknod(os.fsencode(folder) + b"/" + name)
    (folder / "Folder+").mkdir()
    assert await keys_of(bucket) == ["k"]
    assert caplog.text.count("is not coatcheck's") == 6


@pytest.mark.asyncio
async def test_a_record_moved_behind_a_digest_is_not_listed(bucket, files):
    """A key is listed once, though a copy of its file stands under a hashed name."""
    await bucket.put("k", BODY)
    copy = files.of("k").with_name("@" + "0" * 64)
    copy.write_bytes(files.of("k").read_bytes())
    assert await keys_of(bucket) == ["k"]
