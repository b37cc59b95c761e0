"""A bucket in a service: the verbs of single objects, listings and links."""

from __future__ import annotations

import json
import math
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from coatcheck._core.canonical import SIGNATURE, canonical_request
from coatcheck._core.expiry import format_duration, format_time, parse_time
from coatcheck._core.extensions import FromCreation, FromNow, Until
from coatcheck._core.headers import TIME_EXPIRES
from coatcheck._core.names import check_prefix, shown
from coatcheck._core.objects import ObjectEntry, ObjectInfo, Page
from coatcheck._core.scopes import Location
from coatcheck._core.signing import SignedRequest, SignGet, SignPut
from coatcheck.abc import Capability
from coatcheck.errors import (
    BackendError,
    CoatcheckError,
    Conflict,
    ExpiryNotExtendable,
    InvalidInput,
    InvalidName,
    ObjectNotFound,
    UnsupportedOperation,
)
from coatcheck.payloads._parallel import in_parallel

from ._batches import BatchingBucket
from ._failures import BACKEND
from ._metadata import info_of, size_of
from ._reads import ServiceRead

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager
    from datetime import datetime

    from coatcheck.abc import Bucket, ByteRange, Credentials, Extension, Reader

_LONGEST: Final = timedelta(days=7)
_PAGE: Final = 1000
_AT_ONCE: Final = 16
_QUERY_SAFE: Final = "/:@!$'()*+,;?"


class ServiceBucket(BatchingBucket):
    """Objects of all usecases and scopes that the credentials open."""

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        self._check_open()
        return ServiceRead(
            self,
            self.request("GET", self.readable(key), "get of"),
            byte_range=byte_range,
            if_match=if_match,
            if_none_match=if_none_match,
        )

    async def head(self, key: str) -> ObjectInfo:
        self._check_open()
        headers = (await self.look(self.readable(key))).headers
        size = size_of(headers)
        if size is None:
            # Older services tell the size with the bytes alone.
            async with self.get(key) as reader:
                return reader.info
        return info_of(key, headers, size=size, now=self.now())

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        self._check_open()
        try:
            location = self.readable(key)
        except ObjectNotFound:
            return
        headers: dict[str, str] = {}
        if if_match is not None:
            self.require(Capability.DELETE_IF, "delete what was seen")
            headers["if-match"] = f'"{if_match}"'
        request = self.request(
            "DELETE", location, "delete of", writes=True, headers=headers
        )
        try:
            await self.wire.exchange(request, HTTPStatus.NO_CONTENT)
        except ObjectNotFound:
            return

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        results: dict[str, CoatcheckError | None] = {}

        async def delete(key: str) -> None:
            try:
                await self.delete(key)
            except CoatcheckError as error:
                results[key] = error
            else:
                results[key] = None

        await in_parallel(keys, delete, at_once=_AT_ONCE)
        return results

    async def extend_expiry(self, key: str, extension: Extension) -> datetime:
        self._check_open()
        location = self.readable(key)
        body = json.dumps({"extend_expiry": _document(extension)}).encode()
        request = self.request(
            "PATCH",
            location,
            "extension of",
            writes=True,
            headers={"content-type": "application/json"},
            body=body,
        )
        try:
            answer = await self.wire.exchange(request, HTTPStatus.NO_CONTENT)
        except Conflict as error:
            raise ExpiryNotExtendable(
                error.message, key=key, backend=BACKEND
            ) from error
        told = answer.headers.get(TIME_EXPIRES)
        deadline = parse_time(told) if told else (await self.head(key)).deadline
        if deadline is None:
            raise BackendError(
                f"object {key!a} was replaced while it was extended",
                key=key,
                backend=BACKEND,
            )
        return deadline

    async def renew(self, info: ObjectInfo) -> None:
        """Do nothing: the service counted the access when it answered."""

    def scan(
        self,
        prefix: str = "",
        *,
        start_after: str | None = None,
        delimiter: str | None = None,
    ) -> AsyncIterator[Page]:
        check_prefix(prefix)
        if delimiter not in (None, "/"):
            raise InvalidInput(f"the delimiter is '/', not {delimiter!a}")
        scope = _scope_of(prefix)
        after = None
        if start_after is not None:
            after = _relative(start_after, scope.stored_key)
        return self._pages(scope, prefix, after, delimiter)

    async def _pages(
        self, scope: Location, prefix: str, after: str | None, delimiter: str | None
    ) -> AsyncGenerator[Page]:
        self._check_open()
        base = scope.stored_key
        more = True
        while more:
            query = {"prefix": prefix.removeprefix(base), "limit": str(_PAGE)}
            if after is not None:
                query["start_after"] = after
            if delimiter is not None:
                query["delimiter"] = delimiter
            request = self.request(
                "GET", scope, "scan of", route="objects:scan", query=query
            )
            answer = await self.wire.exchange(request, HTTPStatus.OK)
            page, more = _page_of(answer.body, base)
            # The last of each, in whatever order the service's own storage lists.
            last = [*(entry.key for entry in page.entries[-1:]), *page.prefixes[-1:]]
            if not last:
                return
            after = max(last, key=str.encode).removeprefix(base)
            yield page

    async def sign(
        self, what: SignGet | SignPut, key: str, *, expires_in: timedelta
    ) -> SignedRequest:
        self._check_open()
        credentials = self._credentials()
        if what != SignGet():
            raise UnsupportedOperation(
                "a service's links read objects as they are, and do no more",
                backend=BACKEND,
            )
        if not timedelta(0) < expires_in <= _LONGEST:
            raise InvalidInput(f"a link works for up to 7 days, not {expires_in}")
        now = self.now()
        seconds = math.ceil(expires_in.total_seconds())
        pairs = {
            "os_kid": quote(credentials.kid, safe=""),
            "os_timestamp": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "os_duration": str(seconds),
        }
        path = self.wire.path_of(self.writable(key))
        query = "&".join(
            f"{name}={quote(text, safe=_QUERY_SAFE + '%')}"
            for name, text in pairs.items()
        )
        signature = credentials.signature_for_canonical_form(
            canonical_request("GET", path, query)
        )
        url = self.wire.url_of(path, f"{query}&{SIGNATURE}={signature}")
        expires_at = now.replace(microsecond=0) + timedelta(seconds=seconds)
        return SignedRequest(method="GET", url=str(url), expires_at=expires_at)

    def _credentials(self) -> Credentials:
        if self.signer is None:
            raise UnsupportedOperation(
                "links are signed with a SecretKey; give Client(token=SecretKey(...))",
                backend=BACKEND,
            )
        return self.signer


def _document(extension: Extension) -> dict[str, str]:
    match extension:
        case Until(at):
            return {"at": format_time(at)}
        case FromCreation(duration):
            return {"after": format_duration(duration), "from": "creation"}
        case FromNow(duration):
            return {"after": format_duration(duration), "from": "now"}


def _scope_of(prefix: str) -> Location:
    """Return the scope that a prefix lies in.

    Raises:
        UnsupportedOperation: It lies in none, or in several.
    """
    before, found, _ = prefix.partition("/objects/")
    try:
        if found:
            return Location.parse(f"{before}/objects/")
    except InvalidName:
        found = ""
    raise UnsupportedOperation(
        f"prefix {shown(prefix)} is in no usecase and scope, and a service lists one"
        " of them at a time",
        backend=BACKEND,
    )


def _relative(start_after: str, base: str) -> str:
    """Return where to start within a scope, wherever the text lies."""
    if start_after.startswith(base):
        return start_after.removeprefix(base)
    # Before all of the scope's keys, or after them.
    return "" if start_after.encode() < base.encode() else "\U0010ffff"


def _page_of(body: bytes, base: str) -> tuple[Page, bool]:
    """Read a page of a listing, and whether there are more.

    Raises:
        BackendError: It is none.
    """
    try:
        document: Any = json.loads(body)
        entries = tuple(
            ObjectEntry(
                key=base + each["key"],
                size=int(each["size"]),
                etag=str(each["etag"]),
                modified=parse_time(each["modified"]),
            )
            for each in document["entries"]
        )
        prefixes = tuple(base + each for each in document.get("prefixes", ()))
        return Page(entries=entries, prefixes=prefixes), bool(document["truncated"])
    except (ValueError, KeyError, TypeError):
        raise BackendError(
            "the service answers a scan with what is no listing", backend=BACKEND
        ) from None


if TYPE_CHECKING:
    from coatcheck.abc import (
        CanBatch,
        CanExpire,
        CanMultipart,
        CanResume,
        CanScan,
        CanSign,
    )

    _bucket: type[Bucket] = ServiceBucket
    _batch: type[CanBatch] = ServiceBucket
    _expire: type[CanExpire] = ServiceBucket
    _multipart: type[CanMultipart] = ServiceBucket
    _resume: type[CanResume] = ServiceBucket
    _scan: type[CanScan] = ServiceBucket
    _sign: type[CanSign] = ServiceBucket
