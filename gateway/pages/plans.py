"""What the landing page offers."""

from typing import Final

from gateway.pages.render import PlanCard

PLANS: Final = (
    PlanCard(name="Free", usd_per_month=0),
    PlanCard(name="Starter", usd_per_month=20, memory_mb=512, disk_gb=2),
    PlanCard(name="Pro", usd_per_month=40, memory_mb=1024, disk_gb=5),
    PlanCard(name="Enterprise", usd_per_month=80, memory_mb=2048, disk_gb=10),
)
