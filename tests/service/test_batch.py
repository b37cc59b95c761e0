"""Many operations in one request."""

from __future__ import annotations

import email.parser
import email.policy
import json
import os

import pytest
from tests.service.stage import (
    SCOPE,
    USECASE,
    bearer,
    config_of,
    refusing,
    serving,
    token,
    with_keys,
)

pytestmark = pytest.mark.asyncio

PLACE = f"{USECASE}/{SCOPE}"
PATH = f"/v1/objects:batch/{PLACE}/"
BOUNDARY = "client-boundary"
KIND = "x-sn-batch-operation-kind"
KEY = "x-sn-batch-operation-key"
MIB = 1024 * 1024


@pytest.fixture(params=["memory", "files"])
def config(request, tmp_path):
    """A configuration on memory, and one on files."""
    if request.param == "memory":
        return config_of()
    return config_of(storage=f"file:{tmp_path / 'root'}", durable=False)


def operation(kind=None, key=None, body=b"", **headers) -> bytes:
    """Return a part of a batch."""
    given = {name.replace("_", "-"): text for name, text in headers.items()}
    if kind is not None:
        given[KIND] = kind
    if key is not None:
        given[KEY] = key
    lines = ["content-disposition: form-data; name=part"]
    lines += [f"{name}: {text}" for name, text in given.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def joined(*operations: bytes) -> bytes:
    parts = b"".join(
        b"--" + BOUNDARY.encode() + b"\r\n" + each + b"\r\n" for each in operations
    )
    return parts + b"--" + BOUNDARY.encode() + b"--\r\n"


async def sent(it, *operations, path=PATH, **headers):
    headers.setdefault("content-type", f'multipart/form-data; boundary="{BOUNDARY}"')
    return await it.ask("POST", path, joined(*operations), **headers)


def results(answer) -> dict[int, tuple[int, dict, bytes]]:
    """Return status, headers and body by index."""
    assert answer.status == 200
    media = answer.headers["content-type"]
    assert media.startswith('multipart/form-data; boundary="os-boundary-')
    head = f"content-type: {media}\r\n\r\n".encode()
    parser = email.parser.BytesParser(policy=email.policy.compat32)
    found, bodies = {}, bodies_of(answer)
    for part in parser.parsebytes(head + answer.body).get_payload():
        headers = {name.lower(): text for name, text in part.items()}
        assert headers["content-disposition"] == "form-data; name=part"
        index = int(headers["x-sn-batch-operation-index"])
        status = int(headers["x-sn-batch-operation-status"].split()[0])
        assert index not in found
        found[index] = (status, headers, bodies[index])
    return found


def bodies_of(answer) -> dict[int, bytes]:
    """Return the parts' bytes as they stand, which the mail parser would change."""
    boundary = answer.headers["content-type"].split('"')[1].encode()
    found = {}
    for part in answer.body.split(b"--" + boundary)[1:-1]:
        head, _, body = part.partition(b"\r\n\r\n")
        index = head.partition(b"x-sn-batch-operation-index: ")[2].split(b"\r\n")[0]
        found[int(index)] = body.removesuffix(b"\r\n")
    return found


async def test_a_batch(config):
    """Every kind of operation, each with its own answer."""
    async with serving(config) as it:
        await it.put("old", b"old bytes", x_snme_a="b", content_type="text/plain")
        await it.put("doomed")
        answer = await sent(
            it,
            operation("insert", "new%2Fkey%20%C3%BC", b"new\r\n--bytes", x_snme_c="d"),
            operation("insert", None, b"\x00\xff" * 50),
            operation("GET", "old"),
            operation("head", "old"),
            operation("delete", "doomed"),
            operation("delete", "absent"),
            operation("get", "absent"),
            operation("head", "absent"),
        )
        found = results(answer)
        assert sorted(found) == list(range(8))
        assert [found[index][0] for index in range(8)] == [
            201,
            201,
            200,
            204,
            204,
            204,
            404,
            404,
        ]
        assert found[0][1][KEY] == "new%2Fkey%20%C3%BC"
        assert found[0][1][KIND] == "insert"
        assert found[2][2] == b"old bytes"
        for index in (2, 3):
            assert found[index][1]["x-snme-a"] == "b"
            assert found[index][1]["content-type"] == "text/plain"
            assert found[index][1]["x-sn-size"] == "9"
        assert found[3][2] == b""
        assert (await it.get("new/key%20%C3%BC")).body == b"new\r\n--bytes"
        made = found[1][1][KEY].replace("%2D", "-")
        assert (await it.get(made)).body == b"\x00\xff" * 50
        assert (await it.get("doomed")).status == 404


async def test_a_batch_of_nothing(config):
    """No operations, no answers."""
    async with serving(config) as it:
        assert results(await sent(it)) == {}


async def test_large_objects_are_read(config):
    """A read is as long as its object, though what is sent is bounded."""
    async with serving(config) as it:
        bodies = {f"k{size}": os.urandom(size) for size in (MIB, MIB + 1, 5 * MIB)}
        for key, body in bodies.items():
            await it.put(key, body)
        found = results(await sent(it, *(operation("get", key) for key in bodies)))
        assert [found[index][2] for index in range(3)] == list(bodies.values())


async def test_bounds(config):
    """A part of 1 MiB is taken, one byte more fails alone."""
    async with refusing(config) as it:
        found = results(
            await sent(
                it,
                operation("insert", "fits", b"x" * MIB),
                operation("insert", "too-long", b"x" * (MIB + 1)),
                operation("insert", "after", b"x"),
            )
        )
        assert [found[index][0] for index in range(3)] == [201, 413, 201]
        assert json.loads(found[1][2])["detail"].startswith("client error: ")
        assert KEY not in found[1][1]
        assert (await it.get("too-long")).status == 404


async def test_a_thousand_operations(config):
    """So many are carried out, and those after them fail one by one."""
    async with serving(config) as it:
        operations = [operation("insert", f"k{index}", b"x") for index in range(1001)]
        found = results(await sent(it, *operations))
        statuses = [found[index][0] for index in range(1001)]
        assert statuses == [201] * 1000 + [413]
        assert len(await it.stored()) == 1000


BAD_OPERATIONS = [
    (operation(None, "k"), 400),
    (operation("copy", "k"), 400),
    (operation("get"), 400),
    (operation("get", ""), 400),
    (operation("insert", "", b"x"), 400),
    (operation("insert", "..", b"x"), 400),
    (operation("insert", "a%2F..%2Fb", b"x"), 400),
    (operation("insert", "%zz", b"x"), 400),
    (operation("insert", "%ff", b"x"), 400),
    (operation("insert", "%00", b"x"), 400),
    (operation("insert", "k" * 1025, b"x"), 400),
    (operation("insert", "k", b"x", content_encoding="gzip"), 400),
    (operation("insert", "k", b"x", x_sn_expiration="nonsense"), 400),
    (operation("insert", "k", b"x", x_snme_a="%"), 400),
    (operation("insert", "k", b"x", x_snme_a="v" * 3000), 400),
    (b"x-snme-a: 1\r\nx-snme-a: 2\r\n" + operation("insert", "k", b"x"), 400),
]


@pytest.mark.parametrize(
    ("bad", "status"), BAD_OPERATIONS, ids=lambda each: repr(each)[:60]
)
async def test_bad_operations(config, bad, status):
    """One that cannot be fails alone, and says why."""
    async with refusing(config) as it:
        found = results(await sent(it, bad, operation("insert", "good", b"x")))
        assert (found[0][0], found[1][0]) == (status, 201)
        assert json.loads(found[0][2])["detail"].startswith("client error: ")
        assert KEY not in found[0][1]
        assert list(await it.stored()) == [
            "attachments/org.42/project.1337/objects/good"
        ]


BAD_BODIES = [
    (b"", 400),
    (b"nonsense", 400),
    (joined(operation("insert", "k", b"x"))[:-4], 400),
    (joined(operation("insert", "k", b"x"))[:-40], 400),
    (b"--other\r\n\r\n\r\n--other--\r\n", 400),
    (joined(b"x" * 9000 + b": y\r\n\r\n"), 400),
    (joined(b"a: b\r\n" * 100 + b"\r\n"), 400),
    (joined(b"no colon\r\n\r\nx"), 400),
    (joined(*[operation("get", "k")] * 10_001), 413),
]


@pytest.mark.parametrize(
    ("body", "status"), BAD_BODIES, ids=lambda each: repr(each)[:60]
)
async def test_bad_bodies(body, status):
    """What is no sound multipart/form-data is refused as a whole."""
    async with refusing() as it:
        media = f"multipart/form-data; boundary={BOUNDARY}"
        answer = await it.ask("POST", PATH, body, content_type=media)
        assert answer.status == status
        assert answer.detail.startswith("client error: ")


@pytest.mark.parametrize(
    "media",
    [
        None,
        "application/json",
        "multipart/form-data",
        "multipart/mixed; boundary=x",
        "multipart/form-data; boundary=",
    ],
)
async def test_content_types(media):
    """Another content type, or none with a boundary, is answered 415."""
    async with refusing() as it:
        headers = {} if media is None else {"content-type": media}
        answer = await it.ask("POST", PATH, joined(operation("get", "k")), **headers)
        assert answer.status == 415
        assert "boundary" in answer.detail


async def test_permissions_of_operations():
    """Each operation needs its own permission."""
    async with serving(with_keys()) as it:
        await it.put("k", **bearer(token()))
        operations = [
            operation("insert", "new", b"x"),
            operation("get", "k"),
            operation("delete", "k"),
        ]
        for permission, expected in (
            ("object.read", [403, 200, 403]),
            ("object.write", [201, 403, 403]),
            ("object.delete", [403, 403, 204]),
        ):
            key = bearer(token(permissions=[permission]))
            found = results(await sent(it, *operations, **key))
            assert [found[index][0] for index in range(3)] == expected
        answer = await sent(it, *operations)
        assert answer.status == 401
        other = f"/v1/objects:batch/{USECASE}/_/"
        found = results(await sent(it, operations[0], path=other, **bearer(token())))
        assert found[0][0] == 403


async def test_operations_are_counted_one_by_one():
    """Over the rate an operation fails alone, with the time to wait."""
    config = config_of(rates={"per_second": 0.001, "burst": 2})
    async with serving(config) as it:
        operations = [operation("insert", f"k{index}", b"x") for index in range(5)]
        found = results(await sent(it, *operations))
        statuses = sorted(found[index][0] for index in range(5))
        assert statuses == [201, 201, 429, 429, 429]
        refused = next(each for each in found.values() if each[0] == 429)
        assert int(refused[1]["retry-after"]) > 1


async def test_a_broken_read_breaks_the_answer(config, monkeypatch):
    """When bytes fail on their way, no client can take the answer for whole."""
    import aiohttp

    from coatcheck.errors import IntegrityError
    from coatcheck.payloads._integrity import VerifiedReader

    async with serving(config) as it:
        await it.put("k", os.urandom(3 * MIB))

        def broken(self):
            raise IntegrityError("damaged")

        monkeypatch.setattr(VerifiedReader, "_check_digest", broken)
        with pytest.raises(aiohttp.ClientError):
            await sent(it, operation("get", "k"))
