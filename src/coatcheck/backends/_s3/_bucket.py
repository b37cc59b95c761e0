"""A bucket of S3: writing, reading, listing, copying, signing."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from datetime import timedelta
from hashlib import md5, sha256
from typing import TYPE_CHECKING, Any, Final

from coatcheck._core.names import check_key, check_prefix
from coatcheck._core.objects import ObjectEntry, Page
from coatcheck._core.signing import LONGEST_LINK
from coatcheck._core.writes import Receipt, Write
from coatcheck.abc import NO_INFO, Capability, SignGet, SignPut
from coatcheck.abc import SignedRequest as Signed
from coatcheck.errors import (
    BackendError,
    CoatcheckError,
    InvalidInput,
    NotFound,
    Outcome,
    PreconditionFailed,
    UnsupportedOperation,
)
from coatcheck.payloads._body import open_source, whole_bytes
from coatcheck.payloads._integrity import feed

from ._conditions import condition_of
from ._copies import CopyingBucket
from ._errors import s3_errors
from ._metadata import etag_of, put_parameters, quoted
from ._multipart import base64_of
from ._pages import listed_if_there
from ._reads import S3Read
from ._requests import MIB, is_possible

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
    from contextlib import AbstractAsyncContextManager

    from coatcheck.abc import (
        Body,
        Bucket,
        ByteRange,
        ObjectInfo,
        PutInfo,
        Reader,
        SignedRequest,
        WriteMode,
    )

CAPABILITIES: Final = frozenset(Capability) - {
    Capability.EXPIRES,
    Capability.RESUME,
    Capability.BATCH,
    Capability.GENERATION,
    Capability.IMMEDIATE,
}
_CONDITIONAL: Final = frozenset(
    {Capability.CREATE, Capability.REPLACE_IF, Capability.DELETE_IF}
)
_DELETE_STEP: Final = 1000
_WORTH_A_LOOK: Final = MIB
"""Bytes from which it is asked whether they are there before they are sent."""


class S3Bucket(CopyingBucket):
    """Objects in one bucket."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        if self.s3.keeps_conditions is False:
            return CAPABILITIES - _CONDITIONAL
        return CAPABILITIES

    async def put(
        self,
        key: str,
        body: Body,
        *,
        info: PutInfo = NO_INFO,
        mode: WriteMode = Write.OVERWRITE,
        size: int | None = None,
    ) -> Receipt:
        check_key(key)
        self.s3.check_open()
        await self.check_conditions(mode)
        info = self.filled(info)
        whole = whole_bytes(body, size)
        if whole is not None:
            return await self.put_whole(key, whole, info, mode)
        async with open_source(body, size) as source:
            return await self.put_stream(key, source, info, mode)

    async def put_whole(
        self, key: str, whole: bytes, info: PutInfo, mode: WriteMode
    ) -> Receipt:
        if info.sha256 is None and not info.pinned:
            running = sha256()
            await feed(running, whole)
            info = replace(info, sha256=running.hexdigest())
        parameters = {
            "Key": key,
            "Body": whole,
            **put_parameters(info),
            **await _checksum(whole, info),
            **condition_of(mode),
            **self.encryption(),
        }

        async def send() -> Receipt:
            response = await self.request(
                "put_object", "write", key, writes=True, **parameters
            )
            return Receipt(
                etag=etag_of(response),
                size=len(whole),
                write_id=info.write_id or "",
                sha256=info.sha256,
                version=response.get("VersionId"),
                created=mode is Write.CREATE,
            )

        def is_ours(standing: ObjectInfo) -> bool:
            return standing.write_id == info.write_id

        if mode is Write.CREATE and len(whole) >= _WORTH_A_LOOK:
            await self.refuse_standing(key)
        receipt = await self.settled(key, is_ours, mode, send)
        if receipt.size == len(whole):
            return receipt
        # Of what stands by this write, nobody knows the length better.
        return replace(receipt, size=len(whole))

    def get(
        self,
        key: str,
        *,
        byte_range: ByteRange | None = None,
        if_match: str | None = None,
        if_none_match: str | None = None,
    ) -> AbstractAsyncContextManager[Reader]:
        return S3Read(
            self,
            key,
            byte_range=byte_range,
            if_match=if_match,
            if_none_match=if_none_match,
        )

    async def head(self, key: str) -> ObjectInfo:
        self.s3.check_open()
        return await self.look_at(key)

    async def delete(self, key: str, *, if_match: str | None = None) -> None:
        self.s3.check_open()
        if not is_possible(key):
            return
        condition: dict[str, Any] = {}
        if if_match is not None:
            condition["IfMatch"] = quoted(if_match)
        try:
            await self.request(
                "delete_object", "delete", key, writes=True, Key=key, **condition
            )
        except NotFound:
            return
        except PreconditionFailed as refusal:
            try:
                standing = await self.standing(key)
            except BackendError as error:
                error.outcome = refusal.outcome
                raise
            if standing is not None:
                raise

    async def delete_many(
        self, keys: Iterable[str]
    ) -> Mapping[str, CoatcheckError | None]:
        wanted = list(keys)
        results: dict[str, CoatcheckError | None] = dict.fromkeys(wanted)
        possible = [key for key in results if is_possible(key) and key.isprintable()]
        for key in results:
            # What XML cannot carry is deleted by itself.
            if is_possible(key) and not key.isprintable():
                try:
                    await self.delete(key)
                except CoatcheckError as error:
                    results[key] = error
        for start in range(0, len(possible), _DELETE_STEP):
            step = possible[start : start + _DELETE_STEP]
            try:
                results |= await self._delete_step(step)
            except CoatcheckError as error:
                results |= dict.fromkeys(step, error)
        return results

    async def _delete_step(self, keys: list[str]) -> dict[str, CoatcheckError | None]:
        """Delete what one request can, and account for every key of it."""
        response = await self.request(
            "delete_objects",
            "delete",
            keys[0],
            writes=True,
            Delete={"Objects": [{"Key": key} for key in keys]},
        )
        codes = {
            each.get("Key"): each.get("Code") for each in response.get("Errors", [])
        }
        deleted = {each.get("Key") for each in response.get("Deleted", [])}
        return {
            key: None if key in deleted else self._not_deleted(key, codes.get(key))
            for key in keys
        }

    def _not_deleted(self, key: str, code: str | None) -> BackendError:
        return BackendError(
            f"cannot delete {key!a} in bucket {self._name!a}: {code or 'no answer'}",
            bucket=self._name,
            key=key,
            backend="s3",
            outcome=Outcome.UNKNOWN if code is None else None,
        )

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
        self.s3.check_open()
        return self._pages(prefix, start_after or "", delimiter)

    async def _pages(
        self, prefix: str, after: str, delimiter: str | None
    ) -> AsyncGenerator[Page]:
        parameters: dict[str, Any] = {"Prefix": prefix}
        if after:
            parameters["StartAfter"] = after
        if delimiter:
            parameters["Delimiter"] = delimiter
        pages = listed_if_there(
            self,
            "list_objects_v2",
            "list",
            prefix,
            {"NextContinuationToken": "ContinuationToken"},
            **parameters,
        )
        async with aclosing(pages):
            async for response in pages:
                page = _page_of(response, after)
                if page.entries or page.prefixes:
                    yield page

    async def sign(
        self, what: SignGet | SignPut, key: str, *, expires_in: timedelta
    ) -> SignedRequest:
        self.s3.check_open()
        check_key(key)
        method, operation, parameters, headers = _signed(what)
        with s3_errors("sign a link to", self._name, key):
            expires_in = await self._allowed(expires_in)
            url: str = await self.s3.clients.signing.generate_presigned_url(
                operation,
                Params={"Bucket": self._name, "Key": key, **parameters},
                ExpiresIn=int(expires_in.total_seconds()),
            )
        return Signed(
            method=method,
            url=url,
            headers=headers,
            expires_at=self.s3.now() + expires_in,
        )

    async def _allowed(self, expires_in: timedelta) -> timedelta:
        """Return how long a link may live: not beyond the credentials' own end."""
        if self.s3.config.anonymous:
            raise UnsupportedOperation(
                "who has no credentials (S3Config.anonymous) cannot sign links",
                bucket=self._name,
                backend="s3",
            )
        if not timedelta(seconds=1) <= expires_in <= LONGEST_LINK:
            raise InvalidInput(
                f"a link to S3 works for 1 second to 7 days, not for {expires_in}"
            )
        end = await self.s3.clients.credentials_end()
        if end is None:
            return expires_in
        return max(min(expires_in, end - self.s3.now()), timedelta(seconds=1))


async def _checksum(whole: bytes, info: PutInfo) -> dict[str, str]:
    """Return the digest that the store holds the body against."""
    if info.sha256 is not None:
        return {"ChecksumSHA256": base64_of(bytes.fromhex(info.sha256))}
    if info.md5 is not None:
        return {"ContentMD5": base64_of(bytes.fromhex(info.md5))}
    running = md5(usedforsecurity=False)
    await feed(running, whole)
    return {"ContentMD5": base64_of(running.digest())}


def _page_of(response: Mapping[str, Any], after: str) -> Page:
    entries = [
        ObjectEntry(
            key=each["Key"],
            size=each["Size"],
            etag=etag_of(each),
            modified=each["LastModified"],
        )
        for each in response.get("Contents", [])
    ]
    # A prefix is listed for what lies behind it, though it comes before `after`.
    prefixes = [each["Prefix"] for each in response.get("CommonPrefixes", [])]
    return Page(
        entries=tuple(entries),
        prefixes=tuple(prefix for prefix in prefixes if prefix > after),
    )


def _signed(
    what: SignGet | SignPut,
) -> tuple[str, str, dict[str, str], dict[str, str]]:
    """Return method, operation, parameters and the headers that must be sent."""
    parameters: dict[str, str] = {}
    if isinstance(what, SignGet):
        if what.content_type is not None:
            parameters["ResponseContentType"] = what.content_type
        if what.content_disposition is not None:
            parameters["ResponseContentDisposition"] = what.content_disposition
        return "GET", "get_object", parameters, {}
    if what.max_size is not None:
        raise UnsupportedOperation("S3 cannot bound the size of an upload by a link")
    # Signed with the rest, so that the link writes once and over nothing.
    parameters["IfNoneMatch"] = "*"
    headers = {"If-None-Match": "*"}
    if what.content_type is not None:
        parameters["ContentType"] = what.content_type
        headers["Content-Type"] = what.content_type
    return "PUT", "put_object", parameters, headers


if TYPE_CHECKING:
    from coatcheck.abc import (
        CanCopy,
        CanMultipart,
        CanScan,
        CanSign,
        CanSweep,
        CanUpdate,
    )

    _bucket: type[Bucket] = S3Bucket
    _scan: type[CanScan] = S3Bucket
    _update: type[CanUpdate] = S3Bucket
    _copy: type[CanCopy] = S3Bucket
    _sign: type[CanSign] = S3Bucket
    _multipart: type[CanMultipart] = S3Bucket
    _sweep: type[CanSweep] = S3Bucket
