"""What kstash does, told in values that processes can pass to one another.

A call on S3 costs kstash a tenth of a second of computing, so the programmes call it in
a process per core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

from kstash.backend_http import HttpAddress

import kstash

if TYPE_CHECKING:
    from kstash_samples import Sample


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a library answered: a stash, or an error."""

    name: str = ""
    namespace: str = ""
    digest: str = ""
    data: Any = None
    address: str = ""
    error: str = ""

    def is_of(self, sample: Sample) -> bool:
        """Tell whether this is the sample's stash, to the last bit and type."""
        return not self.error and (
            (self.name, self.namespace, exact(self.data))
            == (sample.name, sample.namespace, exact(sample.data))
        )

    def __str__(self) -> str:
        if self.error:
            return self.error
        return f"name {self.name[:40]!a} in namespace {self.namespace!a}"


def exact(data: Any) -> str:
    """Return a text that only equal data of equal types have, NaN and -0.0 too."""
    return repr(data)


def told(stash: Any, digest: str) -> Told:
    """Return what can be passed on of either library's stash."""
    return Told(
        name=stash.name,
        namespace=stash.namespace,
        digest=digest,
        data=stash.data,
        address=str(stash.address),
    )


def refused(error: BaseException) -> Told:
    """Return an error as text that any terminal can print."""
    return Told(error=ascii(f"{type(error).__name__}: {error}"[:160])[1:-1])


def create(sample: Sample) -> Told:
    """Let kstash create a stash."""
    try:
        stash = kstash.create(sample.name, sample.data, sample.namespace)
        return told(stash, stash.md5)
    except Exception as error:  # noqa: BLE001  # they have no base in common
        return refused(error)


def retrieve(address: str) -> Told:
    """Let kstash retrieve a stash."""
    try:
        stash = kstash.retrieve(address)
        return told(stash, stash.md5)
    except Exception as error:  # noqa: BLE001  # they have no base in common
        return refused(error)


def round_trip(sample: Sample) -> tuple[Told, Told]:
    """Let kstash create a stash, and retrieve it by the text of its address."""
    created = create(sample)
    return created, created if created.error else retrieve(created.address)


def retrieve_and_create(address: str, sample: Sample) -> tuple[Told, Told]:
    """Let kstash retrieve the other's stash, and create the same again."""
    return retrieve(address), create(sample)


def share(sample: Sample) -> tuple[str, str]:
    """Return the link that kstash signs, and why it keeps it to itself."""
    stash = kstash.create(sample.name, sample.data, sample.namespace)
    refusal = ""
    try:
        stash.share(60)
    except ValueError as error:
        refusal = str(error).partition(":")[0]
    # kstash reads its own link as the last step, and fails there.
    with mock.patch.object(HttpAddress, "from_string", side_effect=str):
        return str(stash.share(60)), refusal


def read_offline(link: str) -> tuple[Told, str]:
    """Return how kstash takes a link apart, and the URL that it would fetch."""
    answer = mock.Mock(content=b"\xc0")
    with mock.patch("requests.get", return_value=answer) as get:
        read = retrieve(link)
    return read, "" if read.error else get.call_args.args[0]
