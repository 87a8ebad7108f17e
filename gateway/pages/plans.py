"""What the landing page offers."""

from collections.abc import Iterable
from typing import Final

from gateway.pages.render import PlanCard
from provisioner.offer import shipped
from provisioner.plans import Plan


def cards(plans: Iterable[Plan]) -> tuple[PlanCard, ...]:
    """A card for each plan. Of one that costs nothing no size is promised."""
    return tuple(
        PlanCard(
            name=plan.name.capitalize(),
            usd_per_month=plan.usd_per_month,
            memory_mb=plan.guest.memory_mb if plan.usd_per_month else None,
            disk_gb=plan.volume_gb if plan.usd_per_month else None,
        )
        for plan in plans
    )


PLANS: Final = cards(shipped().plans.values())
"""Those that come with the package."""
