"""What operators see and do: metrics, usage, deleting a scope."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time

import pytest
from tests.service.stage import (
    BASE,
    KEY,
    bearer,
    config_of,
    serving,
    token,
)

from coatcheck.service import AuthKey, ServiceConfig


def value(text: str, name: str, **labels) -> float:
    """Return what Prometheus would read; 0 when it is not there."""
    for line in text.splitlines():
        found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? ([0-9.e+-]+)", line)
        if found and all(
            f'{key}="{text}"' in (found[1] or "") for key, text in labels.items()
        ):
            return float(found[2])
    return 0.0


@pytest.mark.asyncio
async def test_metrics():
    """Requests by route, method and status, their time, and the bytes of bodies."""
    async with serving(config_of()) as it:
        await it.put("k", b"x" * 1000)
        await it.get("k")
        await it.get("absent")
        await it.put("..", b"x")
        await it.ask("GET", "/nowhere")
        await it.ask("OPTIONS", f"{BASE}/k")
        text = (await it.ask("GET", "/metrics")).body.decode()
        requests = "coatcheck_requests_total"
        told = {"route": "objects"}
        assert value(text, requests, **told, method="PUT", status="200") == 1
        assert value(text, requests, **told, method="GET", status="200") == 1
        assert value(text, requests, **told, method="GET", status="404") == 1
        assert value(text, requests, **told, method="PUT", status="400") == 1
        assert value(text, requests, **told, method="other", status="405") == 1
        assert value(text, requests, route="other", method="GET", status="404") == 1
        seconds = "coatcheck_request_duration_seconds_count"
        assert value(text, seconds, **told, method="GET") == 2
        assert value(text, "coatcheck_body_bytes_total", direction="in") >= 1000
        assert value(text, "coatcheck_body_bytes_total", direction="out") == 1000
        assert value(text, "coatcheck_requests_in_flight") == 0
        keda = (await it.ask("GET", "/keda")).body.decode()
        assert value(keda, "objectstore_requests_total") == 6
        assert value(keda, "objectstore_bytes_total") >= 2000
        assert value(keda, "objectstore_requests_limit") == 10_000
        assert value(keda, "objectstore_tasks_limit") == 500


@pytest.mark.asyncio
async def test_nobody_chooses_a_label():
    """Whatever clients send, the number of series stays the same."""
    async with serving(config_of()) as it:
        for number in range(50):
            await it.ask("GET", f"/v1/objects/usecase-{number}/org={number}/{number}")
            await it.ask("GET", f"/nowhere/{number}")
        text = (await it.ask("GET", "/metrics")).body.decode()
        assert len(re.findall(r"^coatcheck_requests_total\{", text, re.MULTILINE)) == 2


@pytest.mark.asyncio
async def test_expired_objects_are_reaped(tmp_path, clock):
    """The service itself deletes what is over, and sweeps what was given up."""
    import anyio

    config = config_of(
        storage=f"file:{tmp_path / 'root'}",
        durable=False,
        reap_every=0.05,
        sweep_every=0.05,
        upload_age=3600,
    )
    async with serving(config, clock=clock) as it:
        await it.put("short", x_sn_expiration="ttl:1h")
        await it.put("long", x_sn_expiration="ttl:9h")
        place = BASE.removeprefix("/v1/objects/")
        answer = await it.ask("PUT", f"/v1/objects:multipart/{place}/given-up")
        assert answer.status == 200
        clock.advance(7200)
        with anyio.fail_after(20):
            while True:
                text = (await it.ask("GET", "/metrics")).body.decode()
                reaped = value(text, "coatcheck_reaped_total")
                if reaped and value(text, "coatcheck_swept_total"):
                    break
                await anyio.sleep(0.05)
        inner = it.bucket.inner
        keys = [entry.key async for page in inner.scan() for entry in page.entries]
        assert [key for key in keys if not key.startswith(".")] == [
            "attachments/org.42/project.1337/objects/long"
        ]
        assert [each async for each in it.bucket.list_uploads()] == []


def with_operator() -> ServiceConfig:
    """Return a configuration with a key that may see usage."""
    keys = {
        KEY.kid: AuthKey(
            public_keys=(KEY.public_pem,),
            permissions={"object.read", "object.write", "admin.usage"},
        )
    }
    return ServiceConfig(auth_keys=keys)


@pytest.mark.asyncio
async def test_usage(clock):
    """Counts and bytes by usecase and scope, by day where that is asked for."""
    admin = bearer(token(permissions=["admin.usage"]))
    writer = bearer(token(permissions=["object.read", "object.write"]))
    clock.advance(time.time() - clock().timestamp())
    async with serving(with_operator(), clock=clock) as it:
        await it.put("a", b"12345", x_sn_expiration="ttl:1d", **writer)
        await it.put("b", b"123", **writer)
        answer = await it.ask("GET", "/admin/usage", **admin)
        assert (answer.status, answer.json()) == (
            200,
            {
                "scopes": [
                    {
                        "usecase": "attachments",
                        "scope": "org=42;project=1337",
                        "count": 2,
                        "size": 8,
                    }
                ]
            },
        )
        path = "/admin/usage?usecase=attachments&scope=org=42;project=1337&by_day=true"
        (scope,) = (await it.ask("GET", path, **admin)).json()["scopes"]
        assert scope["days"].pop("never") == {"count": 1, "size": 3}
        assert list(scope["days"].values()) == [{"count": 1, "size": 5}]
        path = "/admin/usage?usecase=other"
        assert (await it.ask("GET", path, **admin)).json() == {"scopes": []}


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("", 403),
        ("?by_day=perhaps", 400),
        ("?scope=org=42", 400),
        ("?usecase=a%20b", 400),
        ("?usecase=attachments&scope=nonsense", 400),
    ],
)
async def test_usage_is_refused(query, status):
    """Without the permission, or with a question that makes no sense."""
    permissions = ["admin.usage"] if query else ["object.read", "object.write"]
    async with serving(with_operator()) as it:
        key = bearer(token(permissions=permissions))
        answer = await it.ask("GET", f"/admin/usage{query}", **key)
        assert answer.status == status
        assert answer.detail
        assert (await it.ask("GET", "/admin/usage")).status == 401
        assert (await it.ask("POST", "/admin/usage", **key)).status == 405


def coatcheck(*options) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-m", "coatcheck", *options],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.asyncio
async def test_the_command_on_objects(tmp_path):
    """Usage as a table and as JSON; a scope goes only when that is said."""
    from anyio import to_thread

    storage = f"file:{tmp_path / 'root'}"
    async with serving(config_of(storage=storage, durable=False)) as it:
        for number in range(3):
            await it.put(f"k{number}", b"12345")
        await it.ask("PUT", "/v1/objects/attachments/org=43/k", b"1")
    on = ("--storage", storage)

    async def run(*options):
        return await to_thread.run_sync(lambda: coatcheck("objects", *options, *on))

    table = await run("usage", "--by-day")
    assert table.returncode == 0, table.stderr
    assert "org=42;project=1337" in table.stdout
    assert "never" in table.stdout
    assert "16 bytes" in table.stdout
    lines = (
        await run("usage", "--json", "--usecase", "attachments")
    ).stdout.splitlines()
    assert {json.loads(line)["count"] for line in lines} == {1, 3}
    scope = ("attachments", "org=42;project=1337")
    counted = await run("delete", *scope)
    assert counted.stdout.startswith("would delete 3 objects of 15 bytes")
    deleted = await run("delete", *scope, "--yes")
    assert deleted.stdout.startswith("deleted 3 of 3 objects of 15 bytes")
    left = (await run("usage", "--json")).stdout
    assert json.loads(left)["scope"] == "org=43"
    refused = await run("delete", "attachments", "nonsense")
    assert refused.returncode == 1
    assert "nonsense" in refused.stderr
    assert "Traceback" not in refused.stderr


@pytest.mark.asyncio
async def test_links_of_the_storage(tmp_path):
    """Links to stashes in the same folder are answered beside the objects."""
    from coatcheck import Coatcheck, Config

    key = "a signing key of 32 characters .."
    root = tmp_path / "root"
    config = config_of(
        storage=f"file:{root}",
        durable=False,
        signing_key=key,
        public_url="http://x/pub",
    )
    async with serving(config) as it:
        stashes = Config(
            backends=("inline", "file"),
            filesystem_root=str(root),
            durable=False,
            public_url=f"{it.url}/pub",
            signing_key=key,
            max_inline_len=1,
        )
        async with Coatcheck(stashes) as cc:
            stash = await cc.create("report", {"a": [1, 2, 3]}, "jobs")
            link = str(await stash.share(ttl_sec=60))
        assert link.startswith(f"{it.url}/pub/v1/links/")
        path = link.removeprefix(it.url)
        assert (await it.ask("GET", path)).status == 200
        assert (await it.ask("GET", path.removeprefix("/pub"))).status == 200
        assert (await it.ask("GET", path[:-1])).status == 403
        assert (await it.put("k", b"object")).status == 200


@pytest.mark.asyncio
async def test_no_links_without_a_key():
    """A service without a signing key has no links to answer."""
    async with serving(config_of()) as it:
        assert (await it.ask("GET", "/v1/links/ns/name.d?t=x")).status == 404
