"""A link's signature is in no error, log, repr or warning."""

from __future__ import annotations

import asyncio
import gc
import logging
import pickle
import traceback
import warnings

import pytest
import pytest_asyncio

from coatcheck._core.ranges import ByteSpan
from coatcheck.backends._https import _reads
from coatcheck.errors import CoatcheckError

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def quiet(caplog, secret, unwatch):
    """Log all there is, and find the secret in none of it."""
    # In its debug mode the loop reads sources, to say where things were made.
    unwatch("open")
    caplog.set_level(logging.DEBUG)
    for name in ("aiohttp.client", "aiohttp.internal", "asyncio", "coatcheck"):
        caplog.set_level(logging.DEBUG, name)
    asyncio.get_running_loop().set_debug(True)
    asyncio.get_running_loop().slow_callback_duration = 0
    yield caplog
    logged = "".join(
        f"{record.getMessage()}{record.args}{record.exc_info}{vars(record)}"
        for record in caplog.records
    )
    assert secret not in logged


def chain(error):
    """Return an error and all that led to it, suppressed or not."""
    found = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def everything(error):
    """Return all that printing, logging or sending an error could show."""
    return "".join(
        [
            *traceback.format_exception(error),
            *(f"{each!r} {each} {each.args} {vars(each)}" for each in chain(error)),
            str(pickle.dumps(error)),
        ]
    )


def drip(_, writer):
    """Begin an answer, then hang up."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")


SCRIPTS = {
    "expired": lambda answer, refusal: refusal(
        403, "AccessDenied", "Request has expired"
    ),
    "changed": lambda answer, refusal: refusal(403, "SignatureDoesNotMatch"),
    "redirect": lambda answer, refusal: refusal(302),
    "busy": lambda answer, refusal: refusal(503),
    "range": lambda answer, refusal: refusal(416),
    "odd": lambda answer, refusal: refusal(400),
    "no length": lambda answer, refusal: answer(length=False),
    "no http": lambda answer, refusal: b"SSH\r\n\r\n",
    "headers": lambda answer, refusal: answer(headers=[("x", "y" * 200_000)]),
    "nothing": lambda answer, refusal: b"",
    "short": lambda answer, refusal: drip,
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_failures_do_not_show_it(
    quiet, host, scripted, refused, read, secret, name
):
    """Whatever a host answers, the error and what led to it hide the query."""
    host.script = SCRIPTS[name](scripted, refused)
    host.hang_up = True

    with pytest.raises(CoatcheckError) as caught:
        await read(host.link(), byte_range=ByteSpan(0, 3) if name == "range" else None)

    assert secret not in everything(caught.value)
    assert len(chain(caught.value)) == 1


async def test_unreachable_hosts_do_not_show_it(
    quiet, host, read, make_backend, resolver, secret, monkeypatch
):
    """Connecting, resolving and waiting in vain hide the query."""
    trusting = await make_backend(
        config={"trusted_hosts": ["a.example", "b.example"]}, resolver=resolver([])
    )
    private = await make_backend(
        config={"trusted_hosts": ["a.example"]}, resolver=resolver(["10.0.0.1"])
    )
    link = f"https://a.example/k?X-Amz-Signature={secret}"

    async def silent(_, __):
        await asyncio.Event().wait()

    host.script = silent
    monkeypatch.setattr(_reads, "OPENING", 0.01)
    for backend, url in ((trusting, link), (private, link), (trusting, host.link())):
        with pytest.raises(CoatcheckError) as caught:
            async with backend.get(url):
                pass
        assert secret not in everything(caught.value)
    await host.stop()
    with pytest.raises(CoatcheckError) as caught:
        await read(host.link())
    assert secret not in everything(caught.value)


@pytest.mark.parametrize(
    "form",
    [
        "https://127.0.0.1:1/k?{}",
        "http://127.0.0.1:1/k?{}",
        "https://evil.example/k?{}",
        "https://u:{}@s3.amazonaws.com/k",
        "https://{}@s3.amazonaws.com/k",
        "https://u:{}/@s3.amazonaws.com/k?x",
        "https://s3.amazonaws.com/k?{}#f",
        "https://s3.amazonaws.com/k?\n{}",
        "https://s3.amazonaws.com:{}/k",
        "nothing:{}",
    ],
)
async def test_refused_links_do_not_show_it(quiet, make_backend, secret, form):
    """Refusing a link shows neither its query nor its user."""
    backend = await make_backend()

    with pytest.raises(CoatcheckError) as caught:
        async with backend.get(form.format(secret)):
            pass

    assert secret not in everything(caught.value)


async def test_reprs_do_not_show_it(quiet, host, backend, secret):
    """Backend, read, reader and response can be printed at any time."""
    reading = backend.get(host.link())
    shown = [repr(backend), repr(reading)]

    async with reading as reader:
        shown += [repr(reading), repr(reader), repr(reader.info)]
        shown += [repr(reading._response), str(reading._response)]
        await reader.read()

    assert secret not in "".join(shown)


async def test_a_forgotten_read_does_not_show_it(quiet, host, scripted, make_backend):
    """A read that was never left warns and logs without its query."""
    host.script = scripted(b"x" * 1024 * 1024)
    backend = await make_backend()
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        reading = backend.get(host.link())
        await reading.__aenter__()
        del reading
        await backend.aclose()
        await host.until(lambda it: it.open == 0)
        gc.collect()

    assert warned
    assert all("canary" not in str(each.message) for each in warned)
    assert any("Unclosed response" in each.getMessage() for each in quiet.records)
