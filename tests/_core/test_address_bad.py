"""Texts that are no address are refused, briefly and without their payload."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coatcheck._core.address import MAX_ADDRESS, Address
from coatcheck.errors import InvalidAddress, UnsupportedBackend

untimed = settings(deadline=None)

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MOST_MESSAGE = 500
SECRET = b64encode(b"the payload is a secret of some length, as secrets are").decode()


def refusal(text):
    with pytest.raises((InvalidAddress, UnsupportedBackend)) as caught:
        Address.parse(text)
    return caught.value


@pytest.mark.parametrize(
    "text",
    [
        *("", "s3", "s3:", "s3://", "s3://ns"),
        f"s3:ns/n.{MD5}",
        f"s3:/ns/n.{MD5}",
        f"//ns/n.{MD5}",
        f"://ns/n.{MD5}",
        f"/tmp/n.{MD5}",
        f" s3://ns/n.{MD5}",
        f"3s://ns/n.{MD5}",
        f"s 3://ns/n.{MD5}",
        f"s3://ns?/n.{MD5}",
        f"s3://ns#/n.{MD5}",
    ],
)
def test_what_has_no_form_is_refused(text):
    """Text that is not scheme://namespace/name is no address."""
    assert isinstance(refusal(text), InvalidAddress)


@pytest.mark.parametrize("given_", [None, 7, b"s3://ns/n", ["s3://ns/n"]])
def test_what_is_not_text_is_refused(given_):
    """Only text is parsed; the refusal names the type."""
    assert type(given_).__name__ in str(refusal(given_))


@pytest.mark.parametrize("scheme", ["ftp", "gs", "memory", "s3a", "x" * 5000])
def test_an_unknown_scheme_is_unsupported(scheme):
    """A scheme that no driver answers to is UnsupportedBackend."""
    error = refusal(f"{scheme}://ns/n.{MD5}?X-Amz-Signature=abcdef")
    assert isinstance(error, UnsupportedBackend)
    assert "abcdef" not in str(error)
    assert "abcdef" not in error.address
    assert len(str(error)) <= MOST_MESSAGE


@pytest.mark.parametrize(
    "path",
    [
        "", "n", MD5, f".{MD5}", f"n{MD5}", f"n.{MD5.upper()}", f"n.{MD5[:-1]}",
        f"n.{MD5}0", f"n.{SHA256.upper()}", f"n.{SHA256[:-1]}", f"n.{'g' * 32}",
        f"n.{MD5} ", f"n.{MD5}/", f"n.{MD5}\n", "n." + "\u0661" * 32,
    ],
)  # fmt: skip
@pytest.mark.parametrize("scheme", ["mem", "file", "s3"])
def test_a_stored_address_ends_in_a_digest(scheme, path):
    """Without a dot and a lower-case MD5 or SHA-256 a stored address is refused."""
    assert isinstance(refusal(f"{scheme}://ns/{path}"), InvalidAddress)


_BAD_NAMES = [
    "", ".", "..", "/n", "n/", "a//b", "a/./b", "a/../b", "../n", "a\x00b", "a\nb",
    "a\rb", "a\x7fb", "a\u2028b", "a\x85b", "a\ud800b", "a" * 1025,
]  # fmt: skip


@pytest.mark.parametrize("name", _BAD_NAMES, ids=lambda name: ascii(name)[:20])
def test_a_bad_name_is_refused(name):
    """Names with relative or empty segments, controls or too many bytes are refused."""
    for text in (f"inline://ns/{name}?data=wA%3D%3D", f"mem://ns/{name}.{MD5}"):
        error = refusal(text)
        assert isinstance(error, InvalidAddress)
        assert len(str(error)) <= MOST_MESSAGE
        str(error).encode("ascii")


@pytest.mark.parametrize("path", [f"..{MD5}", f"...{MD5}", f"a/..{MD5}", f"a/.{MD5}"])
def test_a_name_before_the_digest_is_no_relative_segment(path):
    """What remains without the digest is held to the rules for names."""
    assert isinstance(refusal(f"s3://ns/{path}"), InvalidAddress)


@pytest.mark.parametrize(
    "namespace",
    [
        "",
        ".",
        "..",
        " ns",
        "ns ",
        "n:1",
        "[ns]",
        "n\\s",
        "n\ns",
        "n\0",
        "\udfff",
        "n" * 256,
    ],
    ids=lambda namespace: ascii(namespace)[:20],
)
def test_a_bad_namespace_is_refused(namespace):
    """Namespaces that break their rules make no address of any kind."""
    for text in (f"inline://{namespace}/n?data=wA%3D%3D", f"s3://{namespace}/n.{MD5}"):
        error = refusal(text)
        assert isinstance(error, InvalidAddress)
        assert len(str(error)) <= MOST_MESSAGE
        str(error).encode("ascii")


@pytest.mark.parametrize("scheme", ["inline", "mem", "s3", "https"])
def test_userinfo_is_refused_and_not_shown(scheme):
    """An address with a user or password is refused and neither is printed."""
    error = refusal(f"{scheme}://user:hunter2@ns/n.{MD5}")
    assert isinstance(error, InvalidAddress)
    assert "hunter2" not in str(error)


@pytest.mark.parametrize(
    "text",
    [
        f"s3://ns/n.{MD5}#",
        f"s3://ns/n.{MD5}#frag",
        f"s3://ns/n#.{MD5}",
        f"s3://ns/n.{MD5}?sha256={SHA256}&size=1#frag",
        "inline://ns/n?data=wA%3D%3D#frag",
    ],
)
def test_a_fragment_is_refused(text):
    """No address has a fragment."""
    assert isinstance(refusal(text), InvalidAddress)


@pytest.mark.parametrize(
    "query",
    [
        None,
        "",
        "data",
        "data=",
        f"x=1&data={SECRET}",
        f"data={SECRET}&x=1",
        f"data={SECRET}&data={SECRET}",
        f"data={SECRET}&",
        f"Data={SECRET}",
        f"%64ata={SECRET}",
        f"data={SECRET}=",
        f"data=!!!{SECRET}",
        f"data={SECRET}%0A",
        f"data={SECRET}%00",
        f"data={SECRET}%FF",
        f"data=+{SECRET}",
        f"data={SECRET[:-1]}",
        "data=wA",
        "data=wB%3D%3D",
        "data=w",
        "data=____",
        "data=é",
        "data=\ud800",
    ],
)
def test_inline_data_is_strict_base64_and_alone(query):
    """Inline data that no encoder wrote, or a second field, is refused unprinted."""
    error = refusal("inline://ns/n" if query is None else f"inline://ns/n?{query}")
    assert isinstance(error, InvalidAddress)
    assert SECRET[:12] not in str(error)


@pytest.mark.parametrize(
    "query",
    [
        "",
        f"sha256={SHA256}",
        "size=1",
        f"size=1&sha256={SHA256}",
        f"sha256={SHA256}&size=1&x=2",
        f"sha256={SHA256}&sha256={SHA256}&size=1",
        f"sha256={SHA256.upper()}&size=1",
        f"sha256={SHA256[:-1]}&size=1",
        f"sha256={MD5}&size=1",
        "sha256=&size=1",
        *(
            f"sha256={SHA256}&size={size}"
            for size in ("", "01", "00", "-1", "+1", "1.0", "1e3", " 1", "1_0", "0x1")
        ),
        f"sha256={SHA256}&size={'9' * 16}",
        f"sha256={SHA256}&size={'9' * 5000}",
        f"sha256={SHA256}&size=\u0661",
        f"sha256={SHA256}&size=\u00b2",
        "versionId=abc",
    ],
)
def test_a_streamed_address_has_exactly_digest_and_size(query):
    """The query of a stored address is a SHA-256 and a plain size, or nothing."""
    error = refusal(f"s3://ns/n.{MD5}?{query}")
    assert isinstance(error, InvalidAddress)
    assert len(str(error)) <= MOST_MESSAGE


@pytest.mark.parametrize(
    "text",
    [
        "s3://ns/" + "a" * 2**20,
        "inline://ns/n?data=" + "A" * 2**20,
        "x" * 2**20,
        "s3://" + "n" * (MAX_ADDRESS + 1),
        "😀" * 2**20,
    ],
    ids=lambda text: text[:12],
)
def test_a_mebibyte_is_refused(text):
    """Text of 1 MiB is refused as too long, by its length alone."""
    assert "longer than 32768 characters" in str(refusal(text))


@pytest.mark.parametrize(
    "text",
    [
        f"inline://ns/n?data={SECRET * 1000}",
        "https://user:hunter2@host/" + "a" * MAX_ADDRESS,
    ],
    ids=["inline", "userinfo"],
)
def test_an_address_that_is_too_long_hides_what_it_carries(text):
    """The refusal of an endless address shows neither payload nor password."""
    message = str(refusal(text))
    assert SECRET[:12] not in message
    assert "hunter2" not in message


@untimed
@given(st.text(max_size=300), st.sampled_from(["", "s3://", "mem://ns/", "inline://"]))
@example("\ud800", "inline://ns/")
def test_any_text_is_an_address_or_refused(text, start):
    """Whatever the text, the answer is an address that comes back, or a refusal."""
    try:
        address = Address.parse(start + text)
    except (InvalidAddress, UnsupportedBackend):
        return
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize("char", ["\N{GRINNING FACE}", "\u6f22", "\xe9"])
def test_refusals_stay_short_in_any_script(char):
    """A refusal of a name in any script is no longer than one of ASCII letters."""
    for text in (f"s3://ns/{char * 90}", f"s3://ns/{char * 1025}.{MD5}"):
        assert len(str(refusal(text))) <= MOST_MESSAGE


@pytest.mark.parametrize("char", ["\N{GRINNING FACE}", "\u6f22", "\xe9"])
def test_names_are_bounded_in_bytes(char):
    """A name is measured in UTF-8, whatever the number of its characters."""
    count = 1024 // len(char.encode())
    assert Address.parse(f"s3://ns/{char * count}.{MD5}").name == char * count
    error = refusal(f"s3://ns/{char * (count + 1)}.{MD5}")
    assert "longer than 1024 bytes" in str(error)


@pytest.mark.parametrize("data", ["wA==", "wA%3d%3d", "%77A%3D%3D"])
def test_other_escapes_of_a_query_are_read(data):
    """However a client escapes the query, it is the same address."""
    address = Address.parse(f"inline://ns/n?data={data}")
    assert str(address) == "inline://ns/n?data=wA%3D%3D"
