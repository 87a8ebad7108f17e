"""The limits of one replica. Asked on the way of every request: one look-up, some arithmetic, no waiting."""

from collections.abc import Callable, Iterable, Mapping
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Literal

from gateway.limits.bucket import Buckets, Rate, Standing
from provisioner.instance import UserId
from provisioner.plans import Plan, Plans

Mode = Literal["enforce", "shadow", "off"]


def rates_of(plans: Iterable[Plan], factor: float = 1.0) -> Mapping[str, Rate]:
    """Of requests to one's own Machine, by the name of the plan: what it says, times `factor`."""
    return {
        plan.name: Rate(plan.requests_per_s * factor, max(1, round(plan.requests_burst * factor))) for plan in plans
    }


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
        plans: Plans,
        factor: float = 1.0,
        sign_in: Rate,
        counted: Callable[[str], None] = lambda _: None,
    ) -> None:
        """With `shadow` everything is counted and nothing refused: to see whom a limit would hit.

        A change in `plans` counts from the next request on. `factor` multiplies what every plan allows.
        """
        self._mode, self._monotonic, self._counted = mode, monotonic, counted
        self._sign_in = sign_in
        self._plan_of, self._rates = plans.of, rates_of(plans.all(), factor)
        self._users: Buckets[UserId] = Buckets()
        self._addresses: Buckets[str] = Buckets()

    def take(self, user_id: UserId) -> float | None:
        """One request of this user: None, go on; else the seconds to wait."""
        if self._mode == "off":
            return None
        wait = self._users.take(user_id, self._rates[self._plan_of(user_id).name], self._monotonic())
        return None if wait is None else self._judged("user", wait)

    def standing(self, user_id: UserId) -> Standing:
        rate = self._rates[self._plan_of(user_id).name]
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
