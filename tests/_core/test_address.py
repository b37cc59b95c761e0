"""Addresses come back from their text, in kstash's own raw forms."""

from __future__ import annotations

import hashlib
import unicodedata

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from coatcheck._core.address import Address, check_stash_name
from coatcheck._core.names import check_name, check_namespace
from coatcheck.errors import InvalidName

untimed = settings(deadline=None)

MD5 = "d41d8cd98f00b204e9800998ecf8427e"
SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

# What kstash 0.2.0 gives for namespace `ns` and name `n`: the encoded payload, its
# MD5, and the inline address.
KSTASH_VECTORS = [
    ("c0", "4843a4868714fa7589e8ef87756bcacf", "inline://ns/n?data=wA%3D%3D"),
    ("c3", "d78276f56f8ec8d4f8cca375e4534366", "inline://ns/n?data=ww%3D%3D"),
    ("c2", "6465dad1d31752be3f3283e8f70feef7", "inline://ns/n?data=wg%3D%3D"),
    ("00", "93b885adfe0da089cdf634904fd59f71", "inline://ns/n?data=AA%3D%3D"),
    ("ff", "00594fd4f42ba43fc1ca0427a0576295", "inline://ns/n?data=%2Fw%3D%3D"),
    ("7f", "83acb6e67e50e31db6ed341dd2de1595", "inline://ns/n?data=fw%3D%3D"),
    ("cc80", "d728844a6a8a2c886510f9fbb464306d", "inline://ns/n?data=zIA%3D"),
    ("cfffffffffffffffff", "43909dd23919473a9ca4677071417038", "inline://ns/n?data=z%2F%2F%2F%2F%2F%2F%2F%2F%2F%2F%2F"),
    ("d38000000000000000", "db96fd8956bad6d9386f3edcedd78fc7", "inline://ns/n?data=04AAAAAAAAAA"),
    ("cb3ff0000000000000", "e815f4c375c1f150bffc8b9157953e36", "inline://ns/n?data=yz%2FwAAAAAAAA"),
    ("a0", "9af7c117d9de9a06fba7a5f1ea5fcc2d", "inline://ns/n?data=oA%3D%3D"),
    ("a161", "0cd7b1bb98bda103d775f05b7aeba4d3", "inline://ns/n?data=oWE%3D"),
    ("a668c3a96c6c6f", "fa04aa12e056249e739801ba8f8a3c2d", "inline://ns/n?data=pmjDqWxsbw%3D%3D"),
    ("c400", "ec389917de55cd6c07bcedd943251994", "inline://ns/n?data=xAA%3D"),
    ("c40200ff", "f1a69fbcd4c1047a4523821cbd5de7dc", "inline://ns/n?data=xAIA%2Fw%3D%3D"),
    ("90", "bc9abf1be59ffce180251d4cce755fe2", "inline://ns/n?data=kA%3D%3D"),
    ("9301a161c0", "d4dd6f704af29ce0a35639f370f0fa8e", "inline://ns/n?data=kwGhYcA%3D"),
    ("80", "8d39dd7eef115ea6975446ef4082951f", "inline://ns/n?data=gA%3D%3D"),
    ("82a16201a16192c3cb4004000000000000", "295e0b86b19cdde7e922fdfe895822d5", "inline://ns/n?data=gqFiAaFhksPLQAQAAAAAAAA%3D"),
    ("920102", "0923be3a103183df103cf4053f95f1c4", "inline://ns/n?data=kgEC"),
    ("81a16bc40362696e", "a199e739e2cc979e1ba8bc9cb8ac2c21", "inline://ns/n?data=gaFrxANiaW4%3D"),
]  # fmt: skip

# Characters that other URI libraries would escape, cut at or rewrite.
_ODD = " %;+&=~!$'()*,:@[]\\|^`{}<>\"-._/ABCxyz019üïé漢字😀"


def _accepted(check, text):
    try:
        check(text)
    except InvalidName:
        return False
    return True


_texts = st.text(st.sampled_from(_ODD), min_size=1, max_size=60) | st.text(
    min_size=1, max_size=60
)
_normal = _texts.map(lambda text: unicodedata.normalize("NFC", text))
names = _normal.filter(lambda text: _accepted(check_name, text))
namespaces = _normal.filter(lambda text: _accepted(check_namespace, text))
digests = st.sampled_from([32, 64]).flatmap(
    lambda length: st.text("0123456789abcdef", min_size=length, max_size=length)
)
schemes = st.sampled_from(["mem", "file", "s3"])

inline_addresses = st.builds(
    Address,
    scheme=st.just("inline"),
    namespace=namespaces,
    name=names,
    data=st.binary(min_size=1, max_size=300),
)
stored_addresses = st.builds(
    Address, scheme=schemes, namespace=namespaces, name=names, digest=digests
)
streamed_addresses = st.builds(
    Address,
    scheme=schemes,
    namespace=namespaces,
    name=names,
    digest=st.uuids(version=4).map(lambda made: made.hex),
    sha256=digests.filter(lambda digest: len(digest) == 64),
    size=st.integers(0, 10**15 - 1),
)
addresses = inline_addresses | stored_addresses | streamed_addresses


@untimed
@given(addresses)
def test_parsing_the_text_gives_the_address_back(address):
    """An address of any kind, with any odd name, is what its text parses to."""
    parsed = Address.parse(str(address))
    assert parsed == address
    assert hash(parsed) == hash(address)
    assert str(parsed) == str(address)


@untimed
@given(addresses, addresses)
def test_different_addresses_have_different_texts(one, other):
    """No two addresses share a text."""
    assume(one != other)
    assert str(one) != str(other)


@untimed
@given(stored_addresses)
def test_names_stand_verbatim(address):
    """Namespace and name are written as they are, never percent-encoded."""
    assert str(address).startswith(f"{address.scheme}://{address.namespace}/")
    assert str(address).endswith(f"/{address.name}.{address.digest}")
    assert address.key == f"{address.name}.{address.digest}"


@untimed
@given(schemes, namespaces, _texts, digests)
@example("s3", "ns", "e\u0301", MD5)
def test_names_out_of_normal_form_are_read(scheme, namespace, name, digest):
    """Names that other programs stored outside normal form C are read verbatim."""
    decomposed = unicodedata.normalize("NFD", name)
    assume(_accepted(lambda text: check_name(text, canonical=False), decomposed))
    address = Address.parse(f"{scheme}://{namespace}/{decomposed}.{digest}")
    assert address.name == decomposed


@pytest.mark.parametrize(("encoded", "md5", "inline"), KSTASH_VECTORS)
def test_kstash_addresses_are_read_and_written(encoded, md5, inline):
    """Kstash's inline and stored addresses parse and come out to the character."""
    data = bytes.fromhex(encoded)
    assert hashlib.md5(data).hexdigest() == md5
    address = Address(scheme="inline", namespace="ns", name="n", data=data)
    assert str(address) == inline
    assert Address.parse(inline) == address
    stored = Address.parse(f"s3://ns/n.{md5}")
    assert (stored.namespace, stored.name, stored.digest) == ("ns", "n", md5)


@pytest.mark.parametrize(
    ("namespace", "name"),
    [
        ("Ns", "sp ace"),
        ("ns", "ünï"),
        ("ns", "a+b"),
        ("ns", "a%2Fb"),
        ("ns", "a;b&c=d"),
        ("ns", "a/b/c"),
        ("ns", f"looks.stored.{MD5}"),
    ],
)
@pytest.mark.parametrize("digest", [MD5, SHA256])
def test_kstash_raw_names_are_read(namespace, name, digest):
    """The raw names that kstash writes into addresses come back untouched."""
    address = Address.parse(f"mem://{namespace}/{name}.{digest}")
    assert (address.namespace, address.name) == (namespace, name)
    assert address.digest == digest


def test_kstash_readme_address_is_read():
    """The inline address of kstash's README holds its payload."""
    assert Address.parse("inline://stashes/colorcode?data=DA%3D%3D").data == b"\x0c"


def test_the_scheme_is_read_in_any_case():
    """Schemes are case-insensitive and written in lower case."""
    address = Address.parse(f"S3://Bucket/n.{MD5}")
    assert str(address) == f"s3://Bucket/n.{MD5}"


def test_a_streamed_address_pins_digest_and_length():
    """A streamed address carries the SHA-256 and the size of its bytes."""
    text = f"s3://media/video.{MD5}?sha256={SHA256}&size=0"
    address = Address.parse(text)
    assert (address.sha256, address.size, address.streamed) == (SHA256, 0, True)
    assert address.key == f"video.{MD5}"
    assert not Address.parse(f"s3://media/video.{MD5}").streamed


def test_repr_hides_payload_and_signature():
    """Neither repr nor the redacted text shows what the address itself carries."""
    inline = Address(scheme="inline", namespace="ns", name="n", data=b"secret")
    assert inline.redacted == "inline://ns/n?data=..."
    assert "c2VjcmV0" in str(inline)
    assert "c2VjcmV0" not in repr(inline)
    url = "https://host/ns/n?X-Amz-Signature=abcdef"
    link = Address(scheme="https", namespace="ns", name="n", url=url)
    assert str(link) == url
    assert link.redacted == "https://host/ns/n?..."
    assert "abcdef" not in repr(link)


@untimed
@given(stored_addresses | streamed_addresses)
def test_stored_addresses_hide_nothing(address):
    """An address that only names an object is shown whole."""
    assert address.redacted == str(address)


@pytest.mark.parametrize("length", [32, 64])
def test_a_stash_name_leaves_room_for_its_digest(length):
    """The longest name is refused only when its key would pass 1024 bytes."""
    check_stash_name("ns", "a" * (1024 - length - 1), length)
    with pytest.raises(InvalidName, match="longer than 1024 bytes"):
        check_stash_name("ns", "a" * (1024 - length), length)
