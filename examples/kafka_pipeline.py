"""Kafka with payloads that no broker takes: messages carry addresses.

    pip install 'coatcheck[kafka]'
    export AWS_ACCESS_KEY_ID=... AWS_SECRET_ACCESS_KEY=...
    export COATCHECK_S3__ENDPOINT_URL=http://127.0.0.1:8333    # unless it is AWS
    export COATCHECK_S3__CREATE_BUCKETS=true                   # for development
    python examples/kafka_pipeline.py --bootstrap 127.0.0.1:9092

`send_claim` stashes a payload and sends its address; `claimed` goes around a consumer
and gives back payloads. They are wrappers and no serialisers, because aiokafka's
serialisers cannot await, and one that raises stops its consumer for good.

This run sends 20 payloads of 2 MB to a topic of its own, deletes one behind the
consumer's back, and consumes and verifies the others.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import time
from contextlib import aclosing
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

import coatcheck
from coatcheck import Address, TimeToLive
from coatcheck.errors import IntegrityError, InvalidInput, NotFound, Unsupported

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from aiokafka import ConsumerRecord

NAMESPACE = "kafka-claims"
ADDRESS = ("content-type", b"application/vnd.coatcheck.address")
# As long as the topic keeps its messages, or longer.
RETENTION = TimeToLive(timedelta(days=1))
# Bytes that fit into an address by the default of COATCHECK_MAX_INLINE_LEN.
SMALL = 64
# What will not be better the next time.
LOST = (NotFound, IntegrityError, InvalidInput, Unsupported)

PAYLOADS = 20
SIZE = 2_000_000
DELETED = 7


async def send_claim(
    producer: AIOKafkaProducer, topic: str, name: str, payload: bytes
) -> Address:
    """Stash a payload and send its address, with the name as the key.

    The message is sent after the payload is stored, so nobody meets an address with
    nothing behind it. Trying again after an error is safe: equal payloads have one
    address. What is small becomes its own address and is stored nowhere.
    """
    expires = None if len(payload) <= SMALL else RETENTION
    stash = await coatcheck.create(name, payload, NAMESPACE, expires=expires)
    value = str(stash.address).encode()
    await producer.send_and_wait(topic, value, name.encode(), headers=[ADDRESS])
    return stash.address


async def claimed(
    consumer: AIOKafkaConsumer,
) -> AsyncGenerator[tuple[ConsumerRecord, bytes | None]]:
    """Iterate over a consumer's records and their payloads, in order.

    Tombstones and messages without an address come as they are. A claim that is lost
    is reported and skipped, so that one bad message does not stop the consumer; while
    the store is away BackendError is raised. In a consumer group, commit what was
    worked on yourself (`enable_auto_commit=False`).
    """
    async for record in consumer:
        if record.value is None or ADDRESS not in record.headers:
            yield record, record.value
            continue
        try:
            stash = await coatcheck.retrieve(record.value.decode(errors="replace"))
        except LOST as error:
            place = f"{record.topic}/{record.partition}@{record.offset}"
            print(f"skipped {place}: {type(error).__name__}: {error}")
        else:
            yield record, stash.data


def payload_of(name: str) -> bytes:
    """Return the payload of that name."""
    return hashlib.shake_256(name.encode()).digest(SIZE)


def report(what: str, count: int, begun: float) -> None:
    """Print how fast payloads went."""
    seconds = time.perf_counter() - begun
    print(
        f"{what} {count} payloads of {SIZE / 1e6:g} MB in {seconds:.2f} s:"
        f" {count * SIZE / 1e6 / seconds:.1f} MB/s, {count / seconds:.1f} a second"
    )


async def create_topic(bootstrap: str, topic: str) -> None:
    """Create a topic of one partition, which keeps all messages in one order."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, 1, 1)])
    finally:
        await admin.close()


async def produce(bootstrap: str, topic: str, payloads: dict[str, bytes]) -> None:
    """Send all payloads, delete one, and end with a note and a tombstone."""
    addresses: list[Address] = []
    async with AIOKafkaProducer(
        bootstrap_servers=bootstrap, enable_idempotence=False
    ) as producer:
        begun = time.perf_counter()
        for name, payload in payloads.items():
            addresses.append(await send_claim(producer, topic, name, payload))
        report("sent", len(payloads), begun)
        print(f"the first message is {addresses[0]}")
        await coatcheck.delete(addresses[DELETED])
        print(f"deleted {addresses[DELETED]}")
        note = await send_claim(producer, topic, "note", b"that was all")
        print(f"a small payload is its own address: {note}")
        await producer.send_and_wait(topic, None, b"payload-0")


async def consume(bootstrap: str, topic: str, payloads: dict[str, bytes]) -> None:
    """Claim and verify what was sent, up to the tombstone."""
    verified = 0
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap, auto_offset_reset="earliest"
    )
    async with consumer:
        consumer.assign([TopicPartition(topic, 0)])
        begun = time.perf_counter()
        async with aclosing(claimed(consumer)) as records:
            async for record, payload in records:
                name = record.key.decode()
                if payload is None:
                    print(f"tombstone of {name}")
                    break
                if len(payload) <= SMALL:
                    print(f"{name}: {payload.decode()}")
                    continue
                assert payload == payloads[name], name
                verified += 1
    report("claimed and verified", verified, begun)


async def main(bootstrap: str, payloads: dict[str, bytes]) -> None:
    """Send and consume."""
    topic = f"claims-{uuid4().hex[:8]}"
    await create_topic(bootstrap, topic)
    await produce(bootstrap, topic, payloads)
    await consume(bootstrap, topic, payloads)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--bootstrap", default="127.0.0.1:9092", metavar="HOST:PORT")
    arguments = parser.parse_args()
    names = [f"payload-{number}" for number in range(PAYLOADS)]
    asyncio.run(main(arguments.bootstrap, {name: payload_of(name) for name in names}))
