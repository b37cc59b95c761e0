"""Files over HTTP: streamed into S3, streamed out, or left to S3 by a link.

    pip install 'coatcheck[service]'
    export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...
    export COATCHECK_S3__ENDPOINT_URL=http://127.0.0.1:8333    # unless it is AWS
    export COATCHECK_NAMESPACES='{"files": "s3://my-bucket/files/"}'
    python examples/fastapi_app.py --port 8000

    curl -X POST -T video.mp4 -H 'content-type: video/mp4' localhost:8000/files/video
    curl -G localhost:8000/files --data-urlencode address=ADDRESS -H 'range: bytes=0-9'
    curl -GL localhost:8000/links --data-urlencode address=ADDRESS
    curl -GX DELETE localhost:8000/files --data-urlencode address=ADDRESS

It prints its URL when it is ready; SIGTERM ends it. Addresses come from strangers
here: mapping the one namespace keeps them out of every other bucket. With
COATCHECK_S3__CREATE_BUCKETS=true the bucket is made when it is missing.
"""

from __future__ import annotations

import argparse
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import quote, urlencode

import uvicorn
from fastapi import Depends, FastAPI, Header, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from coatcheck import Address, ByteOffset, ByteSpan, ByteSuffix, Coatcheck, Config
from coatcheck import errors as coats_errors

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator

    from starlette.types import Receive, Scope, Send

    from coatcheck.abc import ByteRange

NAMESPACE = "files"
RANGE = re.compile(r"bytes=([0-9]{0,15})-([0-9]{0,15})")
TRY_AGAIN = 503
STATUS: dict[type[BaseException], int] = {
    coats_errors.InvalidInput: 400,
    coats_errors.Unsupported: 400,
    coats_errors.AccessDenied: 403,
    coats_errors.NotFound: 404,
    coats_errors.Conflict: 409,
    coats_errors.InvalidRange: 416,
    coats_errors.CoatcheckError: 500,
    coats_errors.IntegrityError: 502,
    coats_errors.AtCapacity: TRY_AGAIN,
    coats_errors.BackendUnavailable: TRY_AGAIN,
    coats_errors.RateLimited: TRY_AGAIN,
    coats_errors.Timeout: 504,
}


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Keep one Coatcheck open for as long as the application lives."""
    async with Coatcheck(Config.from_env()) as coats:
        await coats.check()
        app.state.coats = coats
        yield


app = FastAPI(lifespan=lifespan)


def opened(request: Request) -> Any:
    """Return the application's Coatcheck."""
    return request.app.state.coats


Coats = Annotated[Coatcheck, Depends(opened)]


class StashResponse(Response):
    """A stash, or a range of it, that flows from the store to the client.

    The reader is open while this is being sent and no longer: when the client goes
    away, its connection to the store is free again.
    """

    def __init__(
        self, coats: Coatcheck, address: Address, byte_range: ByteRange | None
    ) -> None:
        super().__init__()
        self.coats, self.address, self.byte_range = coats, address, byte_range

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; what fails before the first byte becomes a status."""
        async with self.coats.open(self.address, byte_range=self.byte_range) as reader:
            span, status = reader.range, 200
            headers = {
                "accept-ranges": "bytes",
                "content-length": str(len(span)),
                "content-type": reader.info.content_type or "application/octet-stream",
                # Whoever uploaded it chose its type: no browser shall run it here.
                "content-disposition": "attachment; filename*=UTF-8''"
                + quote(self.address.name.rpartition("/")[2], safe=""),
                "x-content-type-options": "nosniff",
            }
            if self.byte_range is not None:
                status, bounds = 206, f"{span.start}-{span.stop - 1}"
                headers["content-range"] = f"bytes {bounds}/{reader.info.size}"
            chunks = aiter(reader)
            first = await anext(chunks, b"")

            async def flow() -> AsyncIterator[bytes]:
                # A stash that turns out damaged ends short of its content-length.
                yield first
                async for chunk in chunks:
                    yield chunk

            await StreamingResponse(flow(), status, headers)(scope, receive, send)


def byte_range_of(header: str | None) -> ByteRange | None:
    """Read a Range header of one range; None, for all, when it is anything else."""
    found = RANGE.fullmatch(header or "")
    start, last = found.groups() if found else ("", "")
    if start and last:
        return ByteSpan(int(start), int(last) + 1)
    if start:
        return ByteOffset(int(start))
    return ByteSuffix(int(last)) if last else None


@app.post("/files/{name:path}", status_code=201)
async def upload(name: str, request: Request, coats: Coats) -> JSONResponse:
    """Stream the body into the store and answer its address."""
    stash = await coats.create_stream(
        name,
        request.stream(),
        NAMESPACE,
        content_type=request.headers.get("content-type", "application/octet-stream"),
    )
    answer = {"address": str(stash.address)}
    return JSONResponse(answer, 201, {"location": f"/files?{urlencode(answer)}"})


@app.get("/files")
async def download(
    address: str,
    coats: Coats,
    range_: Annotated[str | None, Header(alias="range")] = None,
) -> StashResponse:
    """Stream a stash out, all of it or one range."""
    return StashResponse(coats, Address.parse(address), byte_range_of(range_))


@app.get("/links")
async def link(address: str, coats: Coats) -> RedirectResponse:
    """Send the client to the store itself, with a link that works for a while."""
    return RedirectResponse(str(await coats.share(address)), 307)


@app.delete("/files", status_code=204)
async def delete(address: str, coats: Coats) -> None:
    """Delete a stash; one that is gone already is success."""
    await coats.delete(address)


@app.exception_handler(coats_errors.CoatcheckError)
async def refuse(_: Request, error: coats_errors.CoatcheckError) -> JSONResponse:
    """Answer an error by its class; messages hold no secrets and no payload."""
    status = next(STATUS[each] for each in type(error).__mro__ if each in STATUS)
    headers = {"retry-after": "5"} if status == TRY_AGAIN else None
    return JSONResponse({"kind": error.kind, "detail": error.message}, status, headers)


@app.exception_handler(ClientDisconnect)
async def forget(_: Request, __: ClientDisconnect) -> Response:
    """Take a client that left in the middle of its upload for no failure of ours."""
    return Response(status_code=400)


class Server(uvicorn.Server):
    """Uvicorn, telling where it listens."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Print the URL when clients may come."""
        await super().startup(sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        print(f"http://{host}:{port}", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free one")
    port = parser.parse_args().port
    Server(
        uvicorn.Config(app, port=port, log_level="warning", timeout_graceful_shutdown=9)
    ).run()
