"""What kstash does, in processes of its own, and told in values that can be pickled.

A call costs kstash a tenth of a second of computing, so there is a process per core.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

import kstash
from kstash.backend_http import HttpAddress

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
            (self.name, self.namespace, same(self.data))
            == (sample.name, sample.namespace, same(sample.data))
        )


def same(data: Any) -> str:
    """Return a text that only equal data of equal types have, NaN and -0.0 too."""
    return repr(data)


def shown(error: BaseException) -> str:
    return ascii(f"{type(error).__name__}: {error}")[1:161]


def create(sample: Sample, **fields: Any) -> Told:
    """Let kstash create a stash."""
    try:
        stash = kstash.create(
            sample.name, sample.data, sample.namespace, kstash.Config(**fields)
        )
    except Exception as error:
        return Told(error=shown(error))
    return told(stash)


def retrieve(address: str) -> Told:
    """Let kstash retrieve a stash."""
    try:
        return told(kstash.retrieve(address))
    except Exception as error:
        return Told(error=shown(error))


def round_trip(sample: Sample) -> tuple[Told, Told]:
    """Let kstash create a stash and retrieve it by the text of its address."""
    created = create(sample)
    return created, created if created.error else retrieve(created.address)


def retrieve_and_create(address: str, sample: Sample) -> tuple[Told, Told]:
    """Let kstash retrieve another's stash, and create the same again."""
    return retrieve(address), create(sample)


def share(sample: Sample) -> tuple[str, str]:
    """Return the link that kstash signs, and why it refuses to give it out."""
    stash = kstash.create(sample.name, sample.data, sample.namespace)
    refusal = ""
    try:
        stash.share(60)
    except ValueError as error:
        refusal = shown(error).partition(":")[0]
    with mock.patch.object(HttpAddress, "from_string", side_effect=str):
        return str(stash.share(60)), refusal


def parse_link(link: str) -> Told:
    """Take a link apart as kstash does, without fetching it."""
    fetched = mock.Mock(content=b"\xc0")
    with mock.patch("requests.get", return_value=fetched) as get:
        read = retrieve(link)
    if not read.error:
        assert get.call_args.args == (link,), "kstash would fetch another link"
    return read


def told(stash: Any) -> Told:
    return Told(
        name=stash.name,
        namespace=stash.namespace,
        digest=stash.md5,
        data=stash.data,
        address=str(stash.address),
    )
