"""What today costs, from how long each Machine was awake and Fly's prices. Pure; Fly's bill is the truth."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta

from gateway.overview.book import Day
from provisioner.instance import UserId
from provisioner.plans import Plans
from provisioner.prices import Prices, asleep, awake, volume


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """US dollars by what they go for, and hours awake."""

    awake: float
    asleep: float
    volume: float
    awake_hours: float
    users: int

    @property
    def total(self) -> float:
        return self.awake + self.asleep + self.volume


def spent(days: Iterable[Day], plans: Plans, prices: Prices) -> Spent:
    """Of all these together. A user's size is that of their plan now."""
    running = sleeping = disks = hours = 0.0
    users = 0
    for day in days:
        plan = plans.of(day.user_id)
        up, down = timedelta(seconds=day.awake_s), timedelta(seconds=day.asleep_s)
        running += awake(prices, plan.guest, up)
        sleeping += asleep(prices, down)
        disks += volume(prices, plan.volume_gb, up + down)
        hours += day.awake_s / 3600
        users += 1
    return Spent(awake=running, asleep=sleeping, volume=disks, awake_hours=hours, users=users)


def usd_per_day_awake(user_id: UserId, plans: Plans, prices: Prices) -> float:
    """What this user's Machine costs in a day without sleep."""
    return awake(prices, plans.of(user_id).guest, timedelta(days=1))
