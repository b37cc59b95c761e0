"""Times of listings are read as the SDK reads them, without its detours."""

from __future__ import annotations

import aioboto3
import pytest
from botocore.utils import parse_timestamp
from tests.backends.scripted_host import answer

TIMES = [
    "2026-11-26T07:00:00.000Z",
    "2026-11-26T07:00:00Z",
    "2026-11-26T07:00:00.123456Z",
    "2026-11-26T07:00:00+01:00",
    "Thu, 26 Nov 2026 07:00:00 GMT",
    "20261126T070000Z",
    "1795676400",
]


def listing(time):
    body = f"""<R><Name>b</Name><IsTruncated>false</IsTruncated><Contents><Key>k</Key>
        <LastModified>{time}</LastModified><Size>1</Size><ETag>e</ETag></Contents></R>"""
    return answer(body.encode(), headers=(("Content-Type", "application/xml"),))


@pytest.mark.asyncio
@pytest.mark.parametrize("time", TIMES)
async def test_times_are_the_sdks(host, opened, time, monkeypatch):
    """S3's own form does not reach the SDK's reader; any other one does."""
    asked = []

    def sdk(text):
        asked.append(text)
        return parse_timestamp(text)

    monkeypatch.setattr("coatcheck.backends._s3._client.parse_timestamp", sdk)
    host.script = listing(time)
    async with opened() as bucket:
        pages = [page async for page in bucket.scan()]
    assert pages[0].entries[0].modified == parse_timestamp(time)
    assert asked == ([] if time in TIMES[:3] else [time])


@pytest.mark.asyncio
async def test_a_shared_session_keeps_its_own_reader(host, opened):
    """What makes the parsers of other clients of the session is left alone."""
    session = aioboto3.Session()
    parsers = session._session.get_component("response_parser_factory")
    async with opened(session=session):
        assert parsers._defaults == {}
        assert session._session.get_component("response_parser_factory") is parsers
