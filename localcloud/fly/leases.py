"""Leases: who may change a Machine just now."""

from datetime import timedelta
from typing import Final

from localcloud.fly import errors, ids
from localcloud.fly.clock import Clock
from localcloud.fly.records import Lease, Machine
from localcloud.fly.views import lease_expiry

_DEFAULT_TTL: Final = 30  # seconds


class Leases:
    """Fly's rules. `owner` is what the one token of this Fly is called in conflicts."""

    def __init__(self, clock: Clock, owner: str) -> None:
        self._clock, self._owner = clock, owner

    def held(self, machine: Machine) -> Lease | None:
        """The lease, unless it has expired."""
        if machine.lease is not None and machine.lease.expires_at <= self._clock.now():
            machine.lease = None
        return machine.lease

    def check(self, machine: Machine, nonce: str | None) -> None:
        """Raises Refused(409) if somebody else holds the Machine."""
        lease = self.held(machine)
        if lease is not None and lease.nonce != nonce:
            raise errors.lease_blocks(machine.id, lease.owner, lease_expiry(machine))

    def take(self, machine: Machine, nonce: str | None, ttl: int | None, description: str) -> Lease:
        """A new lease, or more time for the one that `nonce` belongs to. Raises Refused(409)."""
        seconds = _DEFAULT_TTL if ttl is None else ttl
        if seconds <= 0:
            raise errors.invalid("ttl must be positive")
        expires_at = self._clock.now() + timedelta(seconds=seconds)
        lease = self.held(machine)
        if lease is None:
            lease = Lease(ids.nonce(), self._owner, description, expires_at, ids.ulid(self._clock.now()))
            machine.lease = lease
        elif lease.nonce == nonce:
            lease.expires_at = expires_at
        else:
            raise errors.lease_held(machine.id, lease.owner, lease_expiry(machine))
        return lease

    def release(self, machine: Machine, nonce: str | None) -> None:
        """Raises Refused(400) without the nonce of the lease."""
        lease = self.held(machine)
        if nonce is None or lease is None or lease.nonce != nonce:
            raise errors.invalid("fly-machine-lease-nonce: no such lease")
        machine.lease = None
