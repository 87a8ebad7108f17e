"""What the plans offer, in words."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Final

from gateway.pages.render import PlanCard, memory
from provisioner.offer import shipped
from provisioner.plans import Plan


def card(plan: Plan) -> PlanCard:
    """One plan as it is offered, on the landing page and on the account pages."""
    return PlanCard(
        name=plan.name.capitalize(),
        usd_per_month=plan.usd_per_month,
        has=(
            f"{memory(plan.guest.memory_mb)} memory",
            f"{plan.volume_gb} GB disk",
            f"sleeps after {duration(plan.suspend_after)} of quiet",
            f"works on alone for up to {duration(plan.awake_cap)}",
        ),
    )


def cards(plans: Iterable[Plan]) -> tuple[PlanCard, ...]:
    """A card for each plan."""
    return tuple(map(card, plans))


def duration(span: timedelta) -> str:
    """`0 min`, `15 min`, `3 h 5 min`, `72 h`."""
    minutes = int(span.total_seconds() // 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" + (f" {minutes % 60} min" if minutes % 60 else "")


PLANS: Final = cards(shipped().plans.values())
"""Those that come with the package."""
