"""The Kafka example, run as it stands on a broker and SeaweedFS."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from contextlib import aclosing
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from tests.integration import servers

import coatcheck
from coatcheck.errors import BackendError

EXAMPLE = Path(__file__).parents[2] / "examples" / "kafka_pipeline.py"


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    """A broker for this module."""
    with servers.kafka(tmp_path_factory.mktemp("kafka")) as address:
        yield address


@pytest.fixture
def example(seaweed_url, monkeypatch):
    """The example as a module, with its environment."""
    monkeypatch.setenv("COATCHECK_S3__ENDPOINT_URL", seaweed_url)
    monkeypatch.setenv("COATCHECK_S3__CREATE_BUCKETS", "true")
    spec = importlib.util.spec_from_file_location("kafka_pipeline", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def producing(broker):
    return AIOKafkaProducer(bootstrap_servers=broker, enable_idempotence=False)


def consuming(broker):
    return AIOKafkaConsumer(bootstrap_servers=broker, auto_offset_reset="earliest")


async def new_topic(example, broker):
    topic = f"test-{uuid4().hex}"
    await example.create_topic(broker, topic)
    return topic


async def taken(example, broker, topic, count):
    """Return the first payloads that come out, by key."""
    found = []
    async with consuming(broker) as consumer:
        consumer.assign([TopicPartition(topic, 0)])
        async with aclosing(example.claimed(consumer)) as records:
            async for record, payload in records:
                found.append((record.key, payload))
                if len(found) == count:
                    break
    return found


def test_the_whole_run(broker, example):
    """20 payloads are sent, 19 verified, the deleted one skipped, and rates shown."""
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLE, "--bootstrap", broker],
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    sent, first, deleted, small, skipped, note, tombstone, verified = (
        done.stdout.splitlines()
    )
    rate = r"payloads of 2 MB in \d+\.\d\d s: \d+\.\d MB/s, \d+\.\d a second"
    address = r"s3://kafka-claims/payload-{}\.[0-9a-f]{{32}}"
    assert re.fullmatch(f"sent 20 {rate}", sent)
    assert re.fullmatch(f"the first message is {address.format(0)}", first)
    assert re.fullmatch(f"deleted {address.format(7)}", deleted)
    assert "inline://kafka-claims/note?data=" in small
    assert re.match(r"skipped claims-[0-9a-f]{8}/0@7: StashNotFound: ", skipped)
    assert deleted.removeprefix("deleted ") in skipped
    assert note == "note: that was all"
    assert tombstone == "tombstone of payload-0"
    assert re.fullmatch(f"claimed and verified 19 {rate}", verified)


@pytest.mark.asyncio
async def test_the_consumer_goes_on(example, broker, capsys):
    """Poison is reported and skipped; what is no claim comes as it is, in order."""
    topic, header = await new_topic(example, broker), [example.ADDRESS]
    missing = f"s3://{example.NAMESPACE}/n.{'0' * 32}".encode()
    poison = (missing, b"no address", b"\xff\xfe", b"", b"file://kafka/n." + b"0" * 32)
    async with producing(broker) as producer:
        await producer.send_and_wait(topic, b"plain", b"1")
        await producer.send_and_wait(topic, None, b"2")
        await producer.send_and_wait(topic, None, b"3", headers=header)
        for value in poison:
            await producer.send_and_wait(topic, value, b"bad", headers=header)
        stored = await example.send_claim(producer, topic, "4", b"x" * 65)
        small = await example.send_claim(producer, topic, "5", b"y" * 64)
        empty = await example.send_claim(producer, topic, "6", b"")
    assert await taken(example, broker, topic, 6) == [
        *((b"1", b"plain"), (b"2", None), (b"3", None)),
        *((b"4", b"x" * 65), (b"5", b"y" * 64), (b"6", b"")),
    ]
    skipped = capsys.readouterr().out.splitlines()
    kinds = [line.split(": ")[1] for line in skipped]
    assert kinds == [
        *("StashNotFound", "InvalidAddress", "InvalidAddress", "InvalidAddress"),
        "UnsupportedBackend",
    ]
    assert [each.scheme for each in (stored, small, empty)] == ["s3", *["inline"] * 2]
    claim = await coatcheck.retrieve(stored)
    lives = claim.deadline - claim.created
    assert abs(lives - timedelta(days=1)) < timedelta(minutes=1)


@pytest.mark.asyncio
async def test_a_store_that_is_away_loses_nothing(example, broker, monkeypatch):
    """While the store cannot be reached claims are raised, not skipped."""
    topic = await new_topic(example, broker)
    async with producing(broker) as producer:
        await example.send_claim(producer, topic, "kept", b"z" * 1000)
    (port,) = servers.free_ports(1)
    with monkeypatch.context() as away:
        away.setenv("COATCHECK_S3__ENDPOINT_URL", f"http://127.0.0.1:{port}")
        with pytest.raises(BackendError):
            await taken(example, broker, topic, 1)
    assert await taken(example, broker, topic, 1) == [(b"kept", b"z" * 1000)]
