"""Payloads as msgpack, byte for byte as kstash encodes them.

What comes back is what went in, save that tuples become lists, bytearrays and
memoryviews bytes, and subclasses of built-in types these types. Aware datetimes are
msgpack timestamps, exact to the microsecond, and come back in UTC. Decoding trusts
nothing: it is bounded in bytes, nodes and depth, and knows no other extension.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final, NoReturn, TypeVar

import msgpack

from coatcheck.errors import PayloadError

_T = TypeVar("_T")

MAX_NODES: Final = 4_000_000
"""Elements, keys and values that one payload may have in all."""
_MAX_INT: Final = 2**64
_MIN_INT: Final = -(2**63)
_FAILURES = (ValueError, TypeError, OverflowError, RecursionError, MemoryError)
_SCALARS = (str, bytes, bytearray, memoryview, bool, float, type(None))


def encode(data: _T, *, max_bytes: int) -> tuple[bytes, _T]:
    """Encode a payload and prove that it comes back.

    Args:
        data: The payload.
        max_bytes: The most bytes that it may have encoded.

    Returns:
        The encoded payload, and what decoding it gives.

    Raises:
        PayloadError: It would not come back, or is too large. The message tells
            where and why, and shows nothing of the payload.
    """
    try:
        # What `packb` does, without its passing on of arguments.
        body: bytes = msgpack.Packer(datetime=True).pack(data)
    except _FAILURES as error:
        raise PayloadError(
            f"the payload cannot be encoded: {_explain(data, error)}"
        ) from None
    if len(body) > max_bytes:
        raise PayloadError(
            f"the payload has {len(body)} bytes encoded and max_payload_bytes is"
            f" {max_bytes}; use create_stream()"
        )
    try:
        decoded: Any = decode(body, max_bytes=max_bytes)
    except PayloadError as error:
        raise PayloadError(
            f"the payload would not come back: {_explain(data, error)}"
        ) from None
    return body, decoded


def decode(body: bytes, *, max_bytes: int) -> Any:
    """Decode a payload from anywhere.

    Args:
        body: The encoded payload.
        max_bytes: The most bytes that it may have.

    Raises:
        PayloadError: It is too large, or not one whole msgpack value within the
            limits. The message shows nothing of it.
    """
    if len(body) > max_bytes:
        raise PayloadError(
            f"the payload has {len(body)} bytes and max_payload_bytes is {max_bytes};"
            " use open()"
        )
    try:
        if len(body) > MAX_NODES:
            return _decode_counted(body)
        # A node takes a byte at least: shorter bodies need no counting.
        return msgpack.unpackb(
            body,
            timestamp=3,
            strict_map_key=True,
            ext_hook=_refuse_extension,
            max_array_len=len(body),
            max_map_len=len(body) // 2,
        )
    except PayloadError:
        raise
    except _FAILURES as error:
        # msgpack's own errors are ValueErrors, and some carry the payload.
        raise PayloadError(
            f"the bytes are not a payload that coatcheck decodes: {_reason(error)}"
        ) from None


def _decode_counted(body: bytes) -> Any:
    counter = _NodeCounter()
    return msgpack.unpackb(
        body,
        timestamp=3,
        strict_map_key=True,
        ext_hook=_refuse_extension,
        max_array_len=MAX_NODES,
        max_map_len=MAX_NODES // 2,
        list_hook=counter.of_list,
        object_hook=counter.of_map,
    )


class _NodeCounter:
    """Adds up the elements of containers as they are finished."""

    def __init__(self) -> None:
        self._nodes = 0

    def of_list(self, items: list[Any]) -> list[Any]:
        self._add(len(items))
        return items

    def of_map(self, items: dict[Any, Any]) -> dict[Any, Any]:
        self._add(2 * len(items))
        return items

    def _add(self, nodes: int) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            raise PayloadError(f"the payload has more than {MAX_NODES} elements")


def _refuse_extension(code: int, _data: bytes) -> NoReturn:
    raise PayloadError(f"the payload has msgpack extension type {code}")


def _reason(error: BaseException) -> str:
    match error:
        case msgpack.ExtraData():
            return "something follows the value"
        case msgpack.StackError():
            return "it is nested too deeply"
        case UnicodeDecodeError():
            return "a text is not UTF-8"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return f"malformed msgpack ({type(error).__name__})"


def _explain(data: object, error: BaseException) -> str:
    """Say which part of a payload is at fault, by position and type alone."""
    waiting: list[tuple[object, str]] = [(data, "data")]
    for _ in range(MAX_NODES):
        if not waiting:
            break
        part, where = waiting.pop()
        fault = _fault(part)
        if fault is not None:
            return f"{where} {fault}"
        if len(where) >= _MAX_PATH:
            continue
        if isinstance(part, dict):
            for index, (key, held) in enumerate(part.items()):
                fault = _key_fault(key)
                if fault is not None:
                    return f"key #{index} of {where} {fault}"
                waiting.append((held, f"{where}[key #{index}]"))
        elif isinstance(part, list | tuple):
            waiting.extend(
                (held, f"{where}[{index}]") for index, held in enumerate(part)
            )
    if isinstance(error, PayloadError):
        return error.message
    return f"it is nested too deeply or too large ({type(error).__name__})"


_MAX_PATH = 400


def _fault(part: object) -> str | None:
    if isinstance(part, str):
        return _text_fault(part)
    if isinstance(part, int):
        inside = _MIN_INT <= part < _MAX_INT
        return None if inside else "is an integer outside -2**63 to 2**64-1"
    if isinstance(part, datetime):
        aware = part.utcoffset() is not None
        return None if aware else "is a datetime without a timezone"
    if isinstance(part, (*_SCALARS, dict, list, tuple)):
        return None
    return f"is of type {type(part).__name__}; convert it first"


def _key_fault(key: object) -> str | None:
    if isinstance(key, str):
        return _text_fault(key)
    if isinstance(key, bytes):
        return None
    return f"is of type {type(key).__name__}; map keys are str or bytes"


def _text_fault(text: str) -> str | None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return "is a text with a lone surrogate"
    return None
