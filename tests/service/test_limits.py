"""Limits, policies, killswitches: what is admitted, and what waiting is asked for."""

from __future__ import annotations

import asyncio

import pytest
from tests.service.stage import BASE, USECASE, config_of, serving

from coatcheck._core.scopes import Scope
from coatcheck.service import ServiceConfig
from coatcheck.service._config import RateLimits
from coatcheck.service._limits import Bucket, Rates, Slots
from coatcheck.service._refusals import Refusal
from coatcheck.service._targets import Kind, Target

pytestmark = pytest.mark.asyncio


class Seconds:
    """A clock in seconds that stands until it is moved."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


def target(usecase=USECASE, **scopes):
    return Target(Kind.OBJECTS, usecase, Scope.of(**scopes), "k")


async def test_a_bucket_of_tokens():
    """It is full at first, empties, and fills at its rate and no further."""
    clock = Seconds()
    bucket = Bucket(10, 15, clock)
    for _ in range(15):
        assert bucket.wait() == 0
        bucket.take()
    assert bucket.wait() == pytest.approx(0.1)
    clock.now += 0.1
    assert bucket.wait() == 0
    bucket.take()
    clock.now += 1000
    for _ in range(15):
        assert bucket.wait() == 0
        bucket.take()
    assert bucket.wait() > 0


async def test_a_bucket_that_owes():
    """What costs more than is there is paid back before anything else."""
    clock = Seconds()
    bucket = Bucket(100, 100, clock)
    bucket.take(1100)
    assert bucket.wait() == pytest.approx(10.01)
    clock.now += 10.02
    assert bucket.wait() == 0


def admitted(rates, count, *targets):
    """Return how many of so many requests are admitted."""
    refusals = []
    for number in range(count):
        try:
            rates.admit(targets[number % len(targets)])
        except Refusal as refusal:
            refusals.append(refusal)
    assert {refusal.status for refusal in refusals} <= {429}
    assert all(int(each.headers["retry-after"]) >= 1 for each in refusals)
    return count - len(refusals)


async def test_rates():
    """All limits that concern a request must admit it, shares and rules too."""
    limits = RateLimits(
        per_second=10,
        burst=10,
        usecase_share=0.5,
        scope_share=0.25,
        rules=[{"usecase": "slow-one", "scopes": {"org": "1"}, "per_second": 1}],
    )
    one, other = target(org=1), target(org=2)
    assert admitted(Rates(limits, Seconds()), 50, one) == 5
    assert admitted(Rates(limits, Seconds()), 50, one, other) == 10
    many = [target(f"usecase-{i}", org=i) for i in range(10)]
    assert admitted(Rates(limits, Seconds()), 50, *many) == 20
    slow = target("slow-one", org=1, team=2)
    assert admitted(Rates(limits, Seconds()), 50, slow) == 1
    assert admitted(Rates(limits, Seconds()), 50, target("slow-one", org=2)) == 5


async def test_no_limits():
    """Without limits everything is admitted."""
    assert admitted(Rates(RateLimits(), Seconds()), 1000, target()) == 1000


async def test_bytes():
    """Over the bandwidth nobody is admitted until it is made up for."""
    clock = Seconds()
    rates = Rates(RateLimits(bytes_per_second=1000), clock)
    rates.admit(target())
    rates.count_bytes(5000)
    with pytest.raises(Refusal) as caught:
        rates.admit(target())
    assert caught.value.headers["retry-after"] == "5"
    clock.now += 5
    rates.admit(target())


async def test_rates_are_bounded():
    """A million scopes are no million buckets."""
    limits = RateLimits(per_second=1e9, scope_share=0.5)
    rates = Rates(limits, Seconds())
    for number in range(20_000):
        rates.admit(target(org=number))
    assert len(rates._buckets) <= 10_000


async def test_slots():
    """So many at once, so many in the queue, and no one longer than it waits."""
    config = config_of(concurrency=2, concurrency_queue=1, concurrency_wait=5)
    slots = Slots(config)
    order = []

    async def hold(name, event):
        async with slots.one():
            order.append(name)
            await event.wait()

    first, second, third = (asyncio.Event() for _ in range(3))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(hold("first", first))
        tasks.create_task(hold("second", second))
        await asyncio.sleep(0)
        tasks.create_task(hold("third", third))
        await asyncio.sleep(0.01)
        with pytest.raises(Refusal) as caught:
            async with slots.one():
                pass
        assert caught.value.status == 429
        assert order == ["first", "second"]
        first.set()
        await asyncio.sleep(0.01)
        assert order == ["first", "second", "third"]
        second.set()
        third.set()
    assert slots._free == 2


async def test_a_wait_that_is_too_long():
    """Who waited in vain is turned away, and leaves no trace."""
    slots = Slots(config_of(concurrency=1, concurrency_queue=5, concurrency_wait=0.02))
    async with slots.one():
        for _ in range(3):
            with pytest.raises(Refusal):
                async with slots.one():
                    pass
    assert slots._free == 1
    assert not slots._waiting


async def test_a_cancelled_wait():
    """Who goes away while it waits leaves the queue, a slot in hand goes back."""
    slots = Slots(config_of(concurrency=1, concurrency_queue=5, concurrency_wait=60))

    async def one():
        async with slots.one():
            await asyncio.sleep(60)

    for steps in range(6):
        async with slots.one():
            waiting = asyncio.create_task(one())
            for _ in range(steps):
                await asyncio.sleep(0)
            if steps % 2:
                waiting.cancel()
                await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert slots._free == 1
        assert not slots._waiting


async def test_batches_have_a_share():
    """Single requests find slots while batches take all that they may."""
    slots = Slots(config_of(concurrency=4, bulk_share=0.5))
    async with slots.one(bulk=True), slots.one(bulk=True):
        with pytest.raises(Refusal):
            async with slots.one(bulk=True):
                pass
        async with slots.one(), slots.one():
            pass
    assert (slots._free, slots._bulk_free) == (4, 2)


async def test_rates_over_http():
    """Over the limit the answer is 429 with the time to wait; permissions come later."""
    async with serving(config_of(rates={"per_second": 0.01, "burst": 1})) as it:
        assert (await it.put("k")).status == 200
        answer = await it.put("k")
        assert answer.status == 429
        assert 1 <= int(answer.headers["retry-after"]) <= 100
        assert answer.detail.startswith("rate limited: ")
        assert (await it.ask("GET", "/health")).status == 200


async def hanging(it, count):
    """Open requests that hold a slot each: puts whose body does not end."""
    writers = []
    for number in range(count):
        _, writer = await asyncio.open_connection("127.0.0.1", it.port)
        writer.write(
            f"PUT {BASE}/hanging-{number} HTTP/1.1\r\nhost: x\r\n"
            "content-length: 1000000\r\n\r\n".encode()
            + b"x" * 100_000
        )
        await writer.drain()
        writers.append(writer)
    async with asyncio.timeout(20):
        while it.service.in_flight < count:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return writers


async def test_concurrency_over_http(tmp_path):
    """With all slots taken the answer is 429; a slot that is free again is used."""
    config = config_of(
        concurrency=2, storage=f"file:{tmp_path / 'root'}", durable=False
    )
    async with serving(config) as it:
        writers = await hanging(it, 2)
        async with asyncio.timeout(20):
            while (answer := await it.put("k")).status == 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        assert answer.status == 429
        assert answer.headers["retry-after"] == "1"
        assert (await it.ask("GET", "/health")).status == 200
        for writer in writers:
            writer.close()
        async with asyncio.timeout(20):
            while (await it.put("k")).status != 200:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await it.idle()
        assert list(await it.stored()) == ["attachments/org.42/project.1337/objects/k"]


async def test_in_flight_over_http():
    """Beyond the requests that are answered at once there is 503, but for health."""
    async with serving(config_of(max_requests=3)) as it:
        writers = await hanging(it, 3)
        answer = await it.get("k")
        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        assert answer.detail.startswith("busy: ")
        for path in ("/health", "/ready", "/metrics", "/keda"):
            assert (await it.ask("GET", path)).status == 200
        for writer in writers:
            writer.close()
        await it.idle()
        assert (await it.get("k")).status == 404


async def test_two_thousand_at_once():
    """2 000 requests over the limit are turned away, and health answers meanwhile."""
    async with serving(config_of(concurrency=10, max_requests=50), seconds=110) as it:
        await it.put("k", b"x" * 100_000)
        writers = await hanging(it, 10)
        asking = [asyncio.create_task(it.get("k")) for _ in range(2000)]
        healthy = 0
        while not all(task.done() for task in asking):
            async with asyncio.timeout(10):
                assert (await it.ask("GET", "/health")).status == 200
            healthy += 1
            await asyncio.sleep(0.01)
        statuses = {task.result().status for task in asking}
        assert statuses <= {429, 503}
        assert healthy > 0
        for writer in writers:
            writer.close()
        await it.idle()
        assert (await it.get("k")).status == 200


POLICIES = {
    USECASE: {
        "manual": {"allowed": False},
        "ttl": {"max": 3600},
        "tti": {"allowed": False},
        "max_object_bytes": 10,
    }
}


@pytest.mark.parametrize(
    ("expiration", "status"),
    [
        (None, 400),
        ("manual", 400),
        ("ttl:1h", 200),
        ("ttl:1h 1s", 400),
        ("tti:1m", 400),
    ],
)
async def test_policies_of_a_usecase(expiration, status):
    """They hold for every way to make an object, and for no other usecase."""
    headers = {} if expiration is None else {"x-sn-expiration": expiration}
    async with serving(config_of(usecases=POLICIES)) as it:
        multipart = BASE.replace("objects", "objects:multipart", 1)
        for method, path, body in (
            ("PUT", f"{BASE}/k", b"x"),
            ("PUT", f"{multipart}/k", None),
        ):
            answer = await it.ask(method, path, body, **headers)
            assert answer.status == status
            if status == 400:
                assert USECASE in answer.detail
        session = await it.put(
            "k?upload_type=resumable", None, upload_length="1", **headers
        )
        assert session.status == status
        other = "/v1/objects/other-usecase/_/k"
        assert (await it.ask("PUT", other, b"x", **headers)).status == 200


async def test_the_most_bytes_of_a_usecase():
    """The smaller of two bounds holds."""
    config = config_of(usecases=POLICIES, max_object_bytes=20)
    async with serving(config) as it:
        given = {"x-sn-expiration": "ttl:1h"}
        assert (await it.put("k", b"x" * 10, **given)).status == 200
        assert (await it.put("k", b"x" * 11, **given)).status == 413
        other = "/v1/objects/other-usecase/_/k"
        assert (await it.ask("PUT", other, b"x" * 20)).status == 200
        assert (await it.ask("PUT", other, b"x" * 21)).status == 413


@pytest.mark.parametrize(
    ("switch", "path", "service", "status"),
    [
        ({"usecase": USECASE}, BASE, None, 403),
        ({"usecase": "other"}, BASE, None, 200),
        ({"scopes": {"org": "42"}}, BASE, None, 403),
        ({"scopes": {"org": "43"}}, BASE, None, 200),
        ({"usecase": USECASE, "scopes": {"org": "43"}}, BASE, None, 200),
        ({"service": "web"}, BASE, None, 200),
        ({"service": "web"}, BASE, "web", 403),
        ({"service": "web"}, BASE, "web-6d5f4c7b9-x2x4z", 403),
        ({"service": "web*"}, BASE, "webhooks", 403),
        ({"service": "web"}, BASE, "webhooks", 200),
        ({"usecase": USECASE, "service": "web"}, BASE, "api", 200),
    ],
)
async def test_killswitches(switch, path, service, status):
    """What meets all that a switch names is refused, whatever the method."""
    async with serving(config_of(killswitches=[switch])) as it:
        headers = {} if service is None else {"x-downstream-service": service}
        answer = await it.ask("PUT", f"{path}/k", b"x", **headers)
        assert answer.status == status
        if status == 403:
            assert answer.detail.startswith("switched off: ")
            assert (await it.ask("GET", f"{path}/k", **headers)).status == 403


async def test_bandwidth_over_http():
    """Who is far over the bandwidth waits, in both directions."""
    async with serving(config_of(rates={"bytes_per_second": 100_000})) as it:
        await it.put("k", b"x" * 1_000_000)
        answer = await it.get("k")
        assert answer.status == 429
        assert 5 <= int(answer.headers["retry-after"]) <= 11


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({}, "auth_keys"),
        ({"storage": "ftp://x"}, "storage"),
        ({"storage": "s3://"}, "storage"),
        ({"storage": "s3://key:secret@bucket"}, "storage"),
        ({"storage": "file:"}, "storage"),
        ({"usecases": {"a b": {}}}, "usecases"),
        ({"usecases": {"abc": {"ttl": {"max": -1}}}}, "usecases.abc.ttl.max"),
        ({"killswitches": [{}]}, "killswitches.0"),
        ({"killswitches": [{"scopes": {"a b": "c"}}]}, "killswitches.0.scopes"),
        ({"rates": {"per_second": 0}}, "rates.per_second"),
        ({"concurrency": 0}, "concurrency"),
        ({"signing_key": "short"}, "signing_key"),
        ({"root_path": "no-slash"}, "root_path"),
        ({"auth_keys": {"a": {"public_keys": []}}}, "auth_keys.a.public_keys"),
        (
            {"auth_keys": {"a": {"public_keys": ["x"], "permissions": ["all"]}}},
            "auth_keys.a.permissions",
        ),
        ({"unknown": 1}, "unknown"),
    ],
    ids=str,
)
async def test_configurations_that_cannot_be_used(fields, named):
    """Each refusal names its field, and shows no secret."""
    from coatcheck.errors import InvalidConfig

    if named != "auth_keys":
        fields = {"auth": "off", **fields}
    with pytest.raises(InvalidConfig) as caught:
        ServiceConfig(**fields)
    assert all(part in str(caught.value) for part in named.split("."))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("pem", ["nonsense", "private", "rsa"])
async def test_keys_that_cannot_be_used(pem):
    """Neither nonsense, nor another algorithm, nor a private key."""
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
    from tests.service.stage import KEY

    from coatcheck.errors import InvalidConfig
    from coatcheck.service import AuthKey, create_app

    text = {"nonsense": "nonsense", "private": KEY.private_pem}.get(pem)
    if text is None:
        key = rsa.generate_private_key(65537, 2048).public_key()
        text = key.public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        ).decode()
    config = ServiceConfig(auth_keys={"team": AuthKey(public_keys=(text,))})
    with pytest.raises(InvalidConfig, match="'team'") as caught:
        create_app(config)
    assert text not in str(caught.value)
