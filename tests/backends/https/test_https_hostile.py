"""Links that want to reach this machine; a canary there must meet nobody."""

from __future__ import annotations

import pytest

from coatcheck.config import S3Config
from coatcheck.errors import AccessDenied, CoatcheckError, InvalidAddress

pytestmark = pytest.mark.asyncio
SPELLINGS = [
    *("127.0.0.1", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1"),
    *("017700000001", "0177.0.0.1", "127.0.0.1.", "0", "0.0.0.0", "localhost"),
    *("LOCALHOST.", "ip6-localhost", "[::1]", "[0:0:0:0:0:0:0:1]", "[::]"),
    *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]", "[::1%25lo]"),
    *("[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1%lo]"),
    *("127.0.0.1.nip.io", "１２７.0.0.1", "127。0。0。1", "%3127.0.0.1"),
]
SHAPES = [
    "{scheme}://{host}:{port}/k?s",
    "{scheme}://s3.amazonaws.com@{host}:{port}/k?s",
    "{scheme}://s3.amazonaws.com:443@{host}:{port}/k?s",
    "{scheme}://{host}:{port}\\@s3.amazonaws.com/k?s",
    "{scheme}://{host}:{port}#@s3.amazonaws.com/k?s",
    "{scheme}:\\\\{host}:{port}/k?s",
]


async def refusal(backend, url):
    with pytest.raises((AccessDenied, InvalidAddress)) as caught:
        async with backend.get(url):
            pass
    return caught.value


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_no_spelling_reaches_this_machine(canary, make_backend, shape, scheme):
    """However a link writes this machine's address, it is refused unconnected."""
    backend = await make_backend()

    for host in SPELLINGS:
        await refusal(backend, shape.format(scheme=scheme, host=host, port=canary.port))


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_trusting_a_host_opens_no_machine(canary, make_backend, scheme):
    """Not even `trusted_hosts` lead to an address that is not public."""
    hosts = [each for each in SPELLINGS if each.isascii() and "%" not in each]
    trusted = [f"{host}:{canary.port}" for host in hosts]
    backend = await make_backend(config={"trusted_hosts": trusted})

    for host in trusted:
        if not host.startswith(("127.0.0.1.nip.io", "ip6-")):
            await refusal(backend, f"{scheme}://{host}/k?s")


@pytest.mark.parametrize(
    "answers",
    [
        ["127.0.0.1"],
        ["8.8.8.8", "127.0.0.1"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["2002:7f00:1::"],
        ["fe80::1%lo"],
    ],
)
async def test_a_trusted_name_with_a_private_address_is_refused(
    canary, make_backend, resolver, answers
):
    """A name counts by all the addresses that it resolves to."""
    backend = await make_backend(
        config={"trusted_hosts": [f"a.example:{canary.port}"]},
        resolver=resolver(answers),
    )

    error = await refusal(backend, f"https://a.example:{canary.port}/k?s")

    assert isinstance(error, AccessDenied)


async def test_a_rebinding_name_is_refused(canary, make_backend, resolver):
    """A name that was public when it was looked at counts by what is connected to."""
    rebinding = resolver(["8.8.8.8"], ["127.0.0.1"])
    backend = await make_backend(
        config={"trusted_hosts": [f"a.example:{canary.port}"]}, resolver=rebinding
    )
    assert await rebinding.resolve("a.example", canary.port)

    await refusal(backend, f"https://a.example:{canary.port}/k?s")

    assert rebinding.asked == [("a.example", canary.port)] * 2


async def test_a_connection_resolves_once(host, make_backend, resolver):
    """What was checked is connected to, without asking again."""
    name = f"http://store.example:{host.port}"
    answers = resolver(["127.0.0.1"], ["127.0.0.2"])
    backend = await make_backend(
        config={"s3": S3Config(endpoint_url=name)}, resolver=answers
    )

    async with backend.get(f"{name}/k?s") as reader:
        assert await reader.read() == b"a coat"

    assert answers.asked == [("store.example", host.port)]
    assert f"Host: store.example:{host.port}\r\n" in host.heads[0]


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
async def test_redirects_are_not_followed(canary, host, scripted, backend, status):
    """A trusted host cannot send a read elsewhere, not even to itself."""
    for target in (f"{canary.url}/k", "/k", "//127.0.0.1:1/k", "file:///etc/passwd"):
        host.script = scripted(status=f"{status} Go", headers=[("Location", target)])

        error = await refusal(backend, host.link())

        assert isinstance(error, AccessDenied)
        assert "redirects are not followed" in error.message
        assert target not in error.message
    assert len(host.heads) == 4


async def test_the_environments_proxies_are_not_used(
    canary, host, make_backend, monkeypatch
):
    """No proxy variable leads a read to somebody else."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, canary.url)
        monkeypatch.setenv(name.lower(), canary.url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    backend = await make_backend()

    async with backend.get(host.link()) as reader:
        assert await reader.read() == b"a coat"


async def test_netrc_is_not_read(host, make_backend, monkeypatch, tmp_path):
    """Credentials of `.netrc` are sent to nobody."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login canary password canary\n")
    path.chmod(0o600)
    monkeypatch.setenv("NETRC", str(path))
    backend = await make_backend()

    async with backend.get(host.link()) as reader:
        await reader.read()

    assert "authorization" not in host.heads[0].lower()


async def test_a_refusal_is_no_failure_of_the_backend(canary, host, backend, read):
    """After refusals the same backend reads what is trusted."""
    for _ in range(3):
        with pytest.raises(CoatcheckError):
            await read(f"https://127.0.0.1:{canary.port}/k")

    assert await read(host.link()) == b"a coat"
