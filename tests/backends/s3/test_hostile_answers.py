"""Hosts that list in circles, or answer what is no HTTP."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import count

import pytest
from tests.backends.scripted_host import answer
from tests.canary import chain

from coatcheck.abc import Upload
from coatcheck.errors import BackendError, BackendUnavailable

pytestmark = pytest.mark.asyncio
TOKEN = "canarytoken"
UPLOAD = Upload(key="k", upload_id="u", started=datetime.now(UTC))
LISTINGS = {
    "objects": lambda bucket: bucket.scan(),
    "uploads": lambda bucket: bucket.list_uploads(),
    "parts": lambda bucket: bucket.list_parts(UPLOAD),
}
NO_HTTP = {
    "words": b"good day\r\n\r\n",
    "a status that is none": b"HTTP/1.1 fine\r\n\r\n",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "a header of a mebibyte": b"HTTP/1.1 200 OK\r\nX: " + b"a" * 2**20 + b"\r\n\r\n",
    "nothing": b"",
}


LAST = answer(b"<R><Bucket>b</Bucket><IsTruncated>false</IsTruncated></R>")


def page(marker):
    """Return a page of any of the listings that says there is another one."""
    body = f"""<R><Name>b</Name><Bucket>b</Bucket><Key>k</Key><UploadId>u</UploadId>
        <MaxKeys>1</MaxKeys><KeyCount>0</KeyCount><IsTruncated>true</IsTruncated>
        <NextContinuationToken>{marker}</NextContinuationToken>
        <NextKeyMarker>k</NextKeyMarker><NextUploadIdMarker>{marker}</NextUploadIdMarker>
        <NextPartNumberMarker>{marker}</NextPartNumberMarker></R>"""
    return answer(body.encode(), headers=(("Content-Type", "application/xml"),))


@pytest.mark.parametrize("listing", LISTINGS.values(), ids=LISTINGS)
@pytest.mark.parametrize(("before", "around"), [(0, 1), (0, 2), (3, 5), (20, 7)])
async def test_a_listing_that_goes_in_circles_ends(
    host, opened, listing, before, around
):
    """However many pages the circle has, and however many come before it."""
    shown = count()

    def pages(*_):
        number = next(shown)
        if number >= before:
            number = before + (number - before) % around
        return page(number + 1) if len(host.heads) < 300 else LAST

    host.script = pages
    async with opened() as bucket:
        with pytest.raises(BackendError, match="again and again"):
            async for _ in listing(bucket):
                pass
    assert before + around < next(shown) < 6 * (before + around) + 6


async def test_a_long_listing_ends_by_itself(host, opened):
    """Uploads of one key, told apart by their ids alone, are followed to the end."""
    shown = count(1)
    host.script = lambda *_: page(number) if (number := next(shown)) < 70 else LAST
    async with opened() as bucket:
        assert [each async for each in bucket.list_uploads()] == []
    assert next(shown) == 71
    assert "upload-id-marker=69" in host.heads[-1]


@pytest.mark.parametrize("said", NO_HTTP.values(), ids=NO_HTTP)
@pytest.mark.parametrize("wire", ["auto", "sdk"])
async def test_no_error_keeps_the_request(host, opened, monkeypatch, said, wire):
    """What led to it shows neither session token nor signature, and holds none."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    host.script, host.hang_up = said, True
    async with opened(wire=wire) as bucket:
        with pytest.raises(BackendUnavailable) as caught:
            async with bucket.get("k"):
                pass
    assert TOKEN in host.heads[-1]
    for each in (caught.value, *chain(caught.value)):
        held = f"{each!r} {each} {each.args} {vars(each)}"
        request = getattr(each, "request", None)
        assert TOKEN not in held
        assert "Signature=" not in held
        assert request is None
