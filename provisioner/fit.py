"""Does a Machine still fit? What an Instance should have beside what it has, as a pure comparison.

Image and size of a Machine change only while it rests, and a suspended Machine that is changed loses its snapshot
(facts: suspend page). So what does not fit is stopped at its next sleep instead of suspended, and changed there; one
that is suspended already is left alone until its snapshot is given up anyway.
"""

from dataclasses import dataclass

from provisioner.instance import Guest, Instance
from provisioner.plans import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """What an Instance should have. `volume_gb` at least: volumes only grow."""

    image: str
    guest: Guest
    volume_gb: int


def fit_for(instance: Instance, plan: Plan, *, image: str) -> Fit:
    """What this Instance should have under `plan`."""
    return Fit(image=image, guest=plan.guest, volume_gb=max(plan.volume_gb, instance.volume_gb or 0))


def fits(instance: Instance, fit: Fit) -> bool:
    """Whether it has what it should, as far as is known: what is not known is no reason to give up its memory."""
    return (
        instance.image == fit.image
        and instance.guest in (None, fit.guest)
        and (instance.volume_gb is None or instance.volume_gb >= fit.volume_gb)
    )
