"""The limits of one replica. Asked on the way of every request: one look-up, some arithmetic, no waiting."""

from collections.abc import Callable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, Literal

from gateway.limits.bucket import Buckets, Rate, Standing
from provisioner.instance import UserId

Mode = Literal["enforce", "shadow", "off"]

PER_USER: Final[Mapping[str, Rate]] = {
    "free": Rate(per_s=100, burst=1_000),
    "starter": Rate(per_s=200, burst=2_000),
    "pro": Rate(per_s=400, burst=4_000),
    "enterprise": Rate(per_s=1_000, burst=10_000),
}
"""Requests to one's own Machine, by plan and replica. Generous: a page with a thousand parts is no attack."""


def faster(factor: float) -> Mapping[str, Rate]:
    """PER_USER times `factor`."""
    return {plan: Rate(rate.per_s * factor, max(1, round(rate.burst * factor))) for plan, rate in PER_USER.items()}


def sign_in_rate(per_minute: float) -> Rate:
    """Of requests under /auth/ by address. Twice that at once: an office behind one address comes at nine o'clock."""
    return Rate(per_minute / 60, max(2, round(2 * per_minute)))


class RateLimits:
    """Buckets by user and by address. `counted` hears the name of a limit that a request went past in shadow mode;
    refusals are counted by who answers with them."""

    def __init__(
        self,
        mode: Mode,
        monotonic: Callable[[], float],
        *,
        per_user: Mapping[str, Rate] = PER_USER,
        sign_in: Rate,
        counted: Callable[[str], None] = lambda _: None,
    ) -> None:
        """With `shadow` everything is counted and nothing refused: to see whom a limit would hit."""
        self._mode, self._monotonic, self._counted = mode, monotonic, counted
        self._per_user, self._sign_in = per_user, sign_in
        self._free = per_user["free"]
        self._rates: dict[UserId, Rate] = {}
        self._users: Buckets[UserId] = Buckets()
        self._addresses: Buckets[str] = Buckets()

    def paying(self, plans: Mapping[UserId, str]) -> None:
        """From now on these users have these plans, and everybody else the free one."""
        self._rates = {user_id: self._per_user.get(plan, self._free) for user_id, plan in plans.items()}

    def take(self, user_id: UserId) -> float | None:
        """One request of this user: None, go on; else the seconds to wait."""
        if self._mode == "off":
            return None
        wait = self._users.take(user_id, self._rates.get(user_id, self._free), self._monotonic())
        return None if wait is None else self._judged("user", wait)

    def standing(self, user_id: UserId) -> Standing:
        rate = self._rates.get(user_id, self._free)
        return self._users.standing("user", user_id, rate, self._monotonic())

    def take_sign_in(self, client: str) -> float | None:
        """One request for sign-in from this address: None, go on; else the seconds to wait."""
        address = network_of(client)
        if self._mode == "off" or address is None:
            return None
        wait = self._addresses.take(address, self._sign_in, self._monotonic())
        return None if wait is None else self._judged("sign-in", wait)

    def sign_in_standing(self, client: str) -> Standing:
        return self._addresses.standing("sign-in", network_of(client) or "", self._sign_in, self._monotonic())

    def _judged(self, limit: str, wait: float) -> float | None:
        if self._mode == "enforce":
            return wait
        self._counted(limit)
        return None


def network_of(client: str) -> str | None:
    """Whose bucket an address takes from: its own, in IPv6 its /64's, which is what one customer has.

    None for loopback: a proxy on this machine that names no client stands for everybody, and so would the limit.
    """
    try:
        address: IPv4Address | IPv6Address = ip_address(client)
    except ValueError:
        return client[:64]
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is None:
            return None if address.is_loopback else f"{address.exploded[:19]}::/64"
        address = address.ipv4_mapped
    return None if address.is_loopback else str(address)
