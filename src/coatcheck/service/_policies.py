"""What is switched off, and what the objects of a usecase may be."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from coatcheck._core.expiry import TimeToLive

from ._config import UsecasePolicy
from ._refusals import Refusal

if TYPE_CHECKING:
    from coatcheck._core.expiry import Expiry

    from ._config import ExpiryRule, Killswitch, ServiceConfig
    from ._targets import Target

_FREE: Final = UsecasePolicy()
# What Kubernetes hangs on a deployment's name: a replica set's hash, a pod's.
_POD: Final = re.compile(r"-[0-9a-f]{6,10}(-[0-9a-z]{5})?|-[0-9]{1,5}")


class Policies:
    """Answers what may be done at all, whoever asks.

    Args:
        config: The policies and killswitches.
    """

    def __init__(self, config: ServiceConfig) -> None:
        self._usecases = config.usecases
        self._killswitches = config.killswitches
        self._max_object_bytes = config.max_object_bytes

    def check_on(self, target: Target, service: str | None) -> None:
        """Refuse what is switched off.

        Args:
            target: What the request is about.
            service: The service that asks, as `x-downstream-service` names it.

        Raises:
            Refusal: A killswitch meets the request.
        """
        for switch in self._killswitches:
            if _meets(switch, target, service):
                raise Refusal(403, "switched off: this is not served for now")

    def check_expiry(self, target: Target, expiry: Expiry | None) -> None:
        """Refuse an expiration policy that the usecase does not have.

        Raises:
            Refusal: It does not.
        """
        policy = self._usecases.get(target.usecase, _FREE)
        kind, rule = _rule(policy, expiry)
        if not rule.allowed:
            raise Refusal(
                400, f"client error: usecase {target.usecase} has no {kind} objects"
            )
        if expiry is not None and expiry.duration > rule.max:
            raise Refusal(
                400,
                f"client error: usecase {target.usecase} keeps {kind} objects for at"
                f" most {rule.max}",
            )

    def most_bytes(self, target: Target) -> int | None:
        """Return the most bytes of an object; None is without a bound."""
        policy = self._usecases.get(target.usecase, _FREE)
        bounds = (self._max_object_bytes, policy.max_object_bytes)
        return min((bound for bound in bounds if bound is not None), default=None)


def _rule(policy: UsecasePolicy, expiry: Expiry | None) -> tuple[str, ExpiryRule]:
    if expiry is None:
        return "manual", policy.manual
    if isinstance(expiry, TimeToLive):
        return "ttl", policy.ttl
    return "tti", policy.tti


def _meets(switch: Killswitch, target: Target, service: str | None) -> bool:
    if switch.usecase not in (None, target.usecase):
        return False
    scopes = dict(target.scope.pairs)
    if any(scopes.get(name) != value for name, value in switch.scopes.items()):
        return False
    if switch.service is None:
        return True
    names = {service or "", _POD.sub("", service or "")}
    return any(fnmatchcase(name, switch.service) for name in names)
