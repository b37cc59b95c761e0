"""The published client's uploads in parts, and those that go on."""

from __future__ import annotations

import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

pytestmark = [pytest.mark.objectstore, pytest.mark.timeout(300)]

MIB = 1024 * 1024
PART = os.urandom(5 * MIB)
LAST = b"the last part"


def put_parts(upload):
    return [
        upload.put_part(LAST, part_number=2, content_length=len(LAST)),
        upload.put_part(PART, part_number=1, content_length=len(PART)),
    ]


def test_multipart(session):
    """Parts in any order make one object with the metadata of its beginning."""
    from objectstore_client import TimeToIdle

    upload = session.initiate_multipart_upload(
        key="joined",
        compression="none",
        content_type="video/mp4",
        metadata={"a": "ü"},
        expiration_policy=TimeToIdle(timedelta(days=2)),
        origin="here",
        filename="film.mp4",
    )
    assert upload.key == "joined"
    parts = put_parts(upload)
    assert session.get("joined") is None
    assert upload.complete(parts) == "joined"
    found = session.get("joined")
    assert found.payload.read() == PART + LAST
    assert found.metadata.content_type == "video/mp4"
    assert found.metadata.custom == {"a": "ü"}
    assert found.metadata.expiration_policy == TimeToIdle(timedelta(days=2))
    assert (found.metadata.origin, found.metadata.filename) == ("here", "film.mp4")
    session.delete("joined")


def test_multipart_without_a_key(session):
    """The service names the object."""
    upload = session.initiate_multipart_upload(compression="none")
    assert len(upload.key) == 36
    parts = [upload.put_part(b"x", part_number=1, content_length=1)]
    assert session.get(upload.complete(parts)).payload.read() == b"x"


def test_parts_are_listed(session):
    """With their numbers, sizes, ETags and times, and completed as listed."""
    upload = session.initiate_multipart_upload(key="listed", compression="none")
    put = {part.part_number: part.etag for part in put_parts(upload)}
    listed = upload.list_parts()
    assert [(part.part_number, part.size) for part in listed] == [
        (1, len(PART)),
        (2, len(LAST)),
    ]
    assert {part.part_number: part.etag for part in listed} == put
    assert all(part.last_modified.tzinfo is not None for part in listed)
    assert upload.complete(listed) == "listed"


def test_a_part_is_replaced(session):
    """The last part with a number wins."""
    upload = session.initiate_multipart_upload(key="replaced", compression="none")
    upload.put_part(b"old", part_number=1, content_length=3)
    part = upload.put_part(b"new!", part_number=1, content_length=4)
    upload.complete([part])
    assert session.get("replaced").payload.read() == b"new!"


def test_concurrent_parts_from_a_stream(session):
    """Eight threads put parts of one upload."""
    upload = session.initiate_multipart_upload(key="threads", compression="none")

    def put(number):
        return upload.put_part(
            io.BytesIO(PART), part_number=number, content_length=len(PART)
        )

    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(put, range(1, 5)))
    upload.complete(parts)
    assert session.get("threads").payload.read() == PART * 4


def test_md5_of_parts(session):
    """A right MD5 is taken, a wrong one refused."""
    from objectstore_client import RequestError

    upload = session.initiate_multipart_upload(key="md5", compression="none")
    digest = hashlib.md5(LAST).digest()
    with pytest.raises(RequestError) as caught:
        upload.put_part(
            LAST, part_number=1, content_length=len(LAST), content_md5=b"0" * 16
        )
    assert caught.value.status == 400
    part = upload.put_part(
        LAST, part_number=1, content_length=len(LAST), content_md5=digest
    )
    upload.complete([part])
    assert session.get("md5").payload.read() == LAST


def test_an_upload_is_resumed(connect, session):
    """Another process goes on with what it was told."""
    from objectstore_client import Usecase

    begun = session.initiate_multipart_upload(key="resumed", compression="none")
    first = begun.put_part(PART, part_number=1, content_length=len(PART))
    other = connect().session(Usecase("attachments"), org=42, project=1337)
    upload = other.resume_multipart_upload(begun.key, begun.upload_id)
    assert [part.part_number for part in upload.list_parts()] == [1]
    last = upload.put_part(LAST, part_number=2, content_length=len(LAST))
    upload.complete([first, last])
    assert session.get("resumed").payload.read() == PART + LAST


def test_wrong_and_missing_parts(session):
    """They fail the completion, and the upload lives on."""
    from objectstore_client.multipart import CompletePart, MultipartCompleteError

    upload = session.initiate_multipart_upload(key="wrong", compression="none")
    part = upload.put_part(LAST, part_number=1, content_length=len(LAST))
    for parts in (
        [CompletePart(1, "0" * 32)],
        [part, CompletePart(2, "0" * 32)],
    ):
        with pytest.raises(MultipartCompleteError) as caught:
            upload.complete(parts)
        assert caught.value.code == "InvalidPart"
        assert caught.value.status == 200
    assert session.get("wrong") is None
    upload.complete([part])
    assert session.get("wrong").payload.read() == LAST


def test_completing_twice(session):
    """The second completion finds what the first one made."""
    upload = session.initiate_multipart_upload(key="twice", compression="none")
    part = upload.put_part(LAST, part_number=1, content_length=len(LAST))
    assert upload.complete([part]) == "twice"
    assert upload.complete([part]) == "twice"


def test_aborting(session):
    """Nothing is left, and nothing goes on."""
    from objectstore_client import RequestError
    from objectstore_client.multipart import MultipartCompleteError

    upload = session.initiate_multipart_upload(key="aborted", compression="none")
    part = upload.put_part(LAST, part_number=1, content_length=len(LAST))
    upload.abort()
    upload.abort()
    with pytest.raises(RequestError) as caught:
        upload.list_parts()
    assert caught.value.status == 404
    with pytest.raises(RequestError):
        upload.put_part(LAST, part_number=1, content_length=len(LAST))
    with pytest.raises(MultipartCompleteError):
        upload.complete([part])
    assert session.get("aborted") is None


@pytest.mark.parametrize("compress", ["none", "zstd"])
@pytest.mark.parametrize("size", [1, 3 * MIB, 11 * MIB + 7])
def test_resumable_puts(session, compress, size):
    """Above its threshold a put goes by a session; the object is the same."""
    body = os.urandom(size)
    for contents in (body, io.BytesIO(body)):
        key = session.put(
            contents,
            compress=compress,
            resumable_threshold_bytes=0,
            metadata={"by": "session"},
            filename="f",
        )
        found = session.get(key)
        assert found.payload.read() == body
        assert found.metadata.custom == {"by": "session"}


def test_empty_resumable_puts(session):
    """Nothing at all is put directly."""
    key = session.put(b"", compress="none", resumable_threshold_bytes=0)
    assert session.get(key).payload.read() == b""


def created(session, key, length):
    """Begin a session of the kind that the client keeps to itself."""
    return session._create_upload(length, key=key, compression="none")


def held_of(progress):
    """Return how much is held; None when the upload is complete."""
    return getattr(progress, "offset", None)


def test_the_private_sessions(session):
    """Offsets are told, skipping is refused, and the last byte makes the object."""
    from objectstore_client._resumable import ChunkTooSmall, UploadOffsetMismatch

    upload = created(session, "stepwise", 12 * MIB)
    body = os.urandom(12 * MIB)
    step = upload.granularity
    assert step
    assert held_of(upload.progress()) == 0
    with pytest.raises(ChunkTooSmall):
        upload.put(0, body[: step - 1])
    held = held_of(upload.put(0, body[: step + 1]))
    assert held == step
    with pytest.raises(UploadOffsetMismatch) as caught:
        upload.put(2 * step, body[2 * step :])
    assert caught.value.offset == step
    assert session.get("stepwise") is None
    while held is not None:
        held = held_of(upload.put(held, body[held:]))
    assert session.get("stepwise").payload.read() == body
    assert held_of(upload.progress()) is None


def test_an_old_object_stands_until_the_last_byte(session):
    """An upload over an object replaces it at once or not at all."""
    session.put(b"old", key="over", compress="none")
    upload = created(session, "over", 12 * MIB)
    body = os.urandom(12 * MIB)
    held = held_of(upload.put(0, body[: upload.granularity]))
    assert session.get("over").payload.read() == b"old"
    upload.put(held, body[held:])
    assert session.get("over").payload.read() == body


def test_cancelled_sessions(session):
    """A cancelled session is gone, with all it held."""
    from objectstore_client._resumable import ResumableUploadUnavailable

    upload = created(session, "cancelled", 12 * MIB)
    upload.put(0, os.urandom(upload.granularity))
    upload.cancel()
    upload.cancel()
    with pytest.raises(ResumableUploadUnavailable):
        upload.progress()
    assert session.get("cancelled") is None


def test_a_session_is_bound_to_its_key(session):
    """A token of one key is nothing under another."""
    from objectstore_client._resumable import ResumableUploadUnavailable

    upload = created(session, "bound", MIB)
    with pytest.raises(ResumableUploadUnavailable):
        session._resume_upload("other", upload.token).progress()
    with pytest.raises(ResumableUploadUnavailable):
        session._resume_upload("bound", upload.token[:-1] + "x").progress()
    assert held_of(session._resume_upload("bound", upload.token).progress()) == 0


@pytest.mark.parametrize("lost", ["the object stands", "it was replaced", "deleted"])
def test_sessions_outlive_the_service(place, secret, lost):
    """An upload goes on at another service, and a lost last answer is given again."""
    from objectstore_client import Client, Usecase

    # What is in memory ends with its process; there the same service answers again.
    restarts = 1 if place.kind == "memory" else 3
    body = os.urandom(9 * MIB)
    usecase, token, held = Usecase("outlives"), None, 0
    services = [place.served() for _ in range(restarts)]
    steps = iter(["begin", "finish", "ask"])
    for starting in services:
        with starting as service:
            client = Client(
                service.url, token=secret, connection_kwargs={"timeout": 30.0}
            )
            session = client.session(usecase, org=1)
            for step in steps:
                if step == "begin":
                    upload = created(session, "lost", len(body))
                    token = upload.token
                    held = held_of(upload.put(0, body[: upload.granularity]))
                elif step == "finish":
                    upload = session._resume_upload("lost", token)
                    assert held_of(upload.progress()) == held
                    assert held_of(upload.put(held, body[held:])) is None
                    assert session.get("lost").payload.read() == body
                    if lost == "it was replaced":
                        session.put(b"other", key="lost")
                    elif lost == "deleted":
                        session.delete("lost")
                else:
                    upload = session._resume_upload("lost", token)
                    assert held_of(upload.progress()) is None
                if restarts > 1:
                    break
    assert next(steps, None) is None


def test_expiry_of_resumable_puts(session):
    """A policy holds for objects of sessions too."""
    from objectstore_client import TimeToLive

    policy = TimeToLive(timedelta(hours=3))
    key = session.put(
        LAST, expiration_policy=policy, compress="none", resumable_threshold_bytes=0
    )
    metadata = session.head(key)
    assert metadata.expiration_policy == policy
    assert metadata.time_expires is not None
