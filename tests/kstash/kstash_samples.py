"""Random stashes, the same for the same seed, and names and payloads that are odd."""

from __future__ import annotations

import random
import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

BUCKETS = ("exchange", "exchange-two", "exchange.three")
NAMESPACES = ("ns", "Upper", "sp ace", "ünï", "a+b", "a%2Fb", "a;b&c=d", "日本", "v1.2")
PIECES = (
    *("a", "Z", "0", "report", "v1", ".", "-", "_", " ", "  ", "+", "%", "%20", "%2F"),
    *("%3B", "%zz", ";", ";v=1", "/", "/", "&", "=", ":", "@", ",", "~", "'", '"', "!"),
    *("$", "*", "(", ")", "[", "]", "{", "}", "<", ">", "|", "^", "`", "\\", "é", "ß"),
    *("Ж", "日本", "😀", "\u00a0", "\u200d", "\u202e", "ſ", "ﬁ", "٣"),
)
WORDS = ("", "a", "héllo", "日本", "😀", "k" * 31, "v" * 200)
INTEGERS = (
    0,
    1,
    -1,
    127,
    128,
    -32,
    -33,
    255,
    65_536,
    2**32,
    2**63,
    2**64 - 1,
    -(2**63),
)
FLOATS = (0.0, -0.0, 1.0, 1.5, 1e300, 5e-324, float("inf"), float("-inf"), float("nan"))

DIGEST_LIKE = "0123456789abcdef" * 2
ODD_NAMES = (
    # What kstash loses: their addresses lead elsewhere, or nowhere.
    *("h#frag", "q?x=1", "q?", "line\nbreak", "tab\tbed", "cr\r", "/lead", "trail/"),
    *("", ".", "..", "../up", "a/../b", "/", "sur\ud800rogate", "x" * 1100),
    # What stores and readers may treat in ways of their own.
    *("a//b", "a/./b", "./a", "bell\x07", "nul\x00", "line\u2028separator"),
    *("e\u0301", "x" * 991, "x" * 992, "ü" * 495),
    # What only looks odd.
    *(" ", " a ", "a b", "a+b", "a%2Fb", "a%", "a;b", "a&b=c", "a:b@c", "ünï", "😀"),
    *(
        "name.",
        ".hidden",
        "...",
        f"n.{DIGEST_LIKE}",
        DIGEST_LIKE,
        "http://x/y",
        "[::1]",
    ),
)
ODD_NAMESPACES = (
    *("a/b", "a?b", "a#b", "[x]", "user:pw@host", "", "..", " a", "a ", "new\nline"),
    *("\u2100", "a\uff0fb", "\uff1a", "A", "sp ace", "ünï", "a%2Fb", "a+b", "a;b"),
)
ODD_PAYLOADS: dict[str, Any] = {
    "an integer as key": {1: "x" * 100},
    "None as key": {None: "x" * 100},
    "bytes as key": {b"k": "x" * 100},
    "a tuple": (1, (2, "x" * 100)),
    "a bytearray": bytearray(b"x" * 100),
    "not a number": [float("nan")] * 50,
    "a dict in another order": {"b": "x" * 50, "a": "x" * 50},
    "2**64": 2**64,
    "a set": {1, 2},
    "a lone surrogate": "\ud800" * 50,
    "depth of 400": None,
    "a time": [datetime(2024, 1, 1, tzinfo=UTC)] * 20,
}
for _ in range(400):
    ODD_PAYLOADS["depth of 400"] = [ODD_PAYLOADS["depth of 400"]]


@dataclass(frozen=True, kw_only=True)
class Sample:
    """What a stash is made of."""

    name: str
    data: Any
    namespace: str


def stash_samples(seed: int, count: int) -> list[Sample]:
    """Return stashes that do not fit into their addresses."""
    source = random.Random(seed)
    return [
        Sample(
            name=name_of(source),
            data=[f"{seed}-{number}", payload_of(source), source.randbytes(75)],
            namespace=source.choice(BUCKETS),
        )
        for number in range(count)
    ]


def inline_samples(seed: int, count: int) -> list[Sample]:
    """Return stashes of few bytes, the most that fit and one more among them."""
    source = random.Random(seed)
    return [
        Sample(
            name=name_of(source),
            data=small_payload_of(source),
            namespace=source.choice(NAMESPACES),
        )
        for _ in range(count)
    ]


def name_of(source: random.Random) -> str:
    """Return a name that both libraries say they take."""
    while True:
        pieces = source.choices(PIECES, k=source.randint(1, 12))
        name = unicodedata.normalize("NFC", "".join(pieces))
        # SeaweedFS takes backslashes for slashes where it looks for dots.
        dots = {".", ".."}.intersection(re.split(r"[/\\]", name))
        if not dots and "" not in name.split("/"):
            return name


def small_payload_of(source: random.Random) -> Any:
    """Return a payload of at most 75 bytes encoded."""
    if source.random() < 0.3:
        return source.randbytes(source.randint(70, 73))
    return source.choice(
        [
            *(None, True, False, [], {}, source.choice(INTEGERS)),
            *(source.choice(FLOATS), source.choice(WORDS[:-1]), source.randbytes(9)),
            [source.choice(INTEGERS), {"k": source.choice(WORDS[:-1])}],
        ]
    )


def payload_of(source: random.Random, depth: int = 0) -> Any:
    """Return JSON-like data with bytes in it, some of it large."""
    kind = source.randrange(12 if depth < 5 else 7)
    match kind:
        case 0:
            return source.choice([None, True, False])
        case 1:
            return source.choice(INTEGERS)
        case 2:
            return source.choice([*FLOATS, source.random()])
        case 3 | 4:
            return source.choice(WORDS)
        case 5:
            return source.randbytes(source.choice([0, 1, 31, 32, 255, 256, 70_000]))
        case 6:
            return source.randint(-(2**63), 2**64 - 1)
        case 7 | 8 | 9:
            size = source.choice([0, 1, 3, 15, 16, 20])
            return [payload_of(source, depth + 2) for _ in range(size)]
        case _:
            keys = source.choices([*WORDS, "b", "a"], k=source.choice([0, 2, 16]))
            return {
                f"{key}{source.random()}": payload_of(source, depth + 2) for key in keys
            }
