"""A first visit with a spare Machine at hand: start it, make it theirs, and swap it for the next if it is dead."""

from uuid import uuid4

import structlog

from provisioner import naming
from provisioner.errors import CloudBroken, CloudError, CloudSilent, CloudUnreachable, NotAllowed, RateLimited
from provisioner.instance import Instance, Isolation, State, UserId
from provisioner.knocking import knock
from provisioner.making import unasked
from provisioner.parts import Parts
from provisioner.ports import Lease
from provisioner.probe import Health
from provisioner.progress import Progress

log = structlog.get_logger(__name__)

NOT_ITS_FAULT = (CloudUnreachable, CloudSilent, CloudBroken, RateLimited, NotAllowed)
"""Failures of Fly's API that say nothing about this Machine: another one would fare no better."""


async def claim(parts: Parts, user_id: UserId, email: str, *, actor: str) -> Instance | None:
    """The user's new Instance on a spare, PROVISIONING; None: there is no pool, or none that fits their plan."""
    if parts.spares is None or parts.pool.most <= 0:
        return None
    plan = parts.plans.of(user_id)
    least = min(other.pool_priority for other in parts.plans.all())
    leave = parts.pool.reserved if plan.pool_priority == least else 0
    return await parts.spares.claim_spare(
        user_id, email=email, guest=plan.guest, leave=leave, actor=actor, model=parts.model
    )


async def personalise(parts: Parts, instance: Instance, private_ip: str) -> bool:
    """Tell the Guard of a spare whose it is now, once. False: it will not have it, or says nothing."""
    token = parts.keys.claim(instance, parts.environment(instance), now=parts.clock.now())
    return await parts.probe.claim(parts.endpoint(private_ip), token, timeout=2.0)


async def settle(parts: Parts, lease: Lease, instance: Instance, progress: Progress, *, actor: str) -> Instance:
    """The Instance on a Machine that is alive and theirs, or on none at all: then it is made from nothing.

    For a PROVISIONING one on a spare; any other is returned as it is. What was never ready was never entered, so that
    a spare which is given up here holds nothing of anybody's. Raises Moved.
    """
    while parts.spares is not None and instance.state is State.PROVISIONING and naming.is_spare(instance.machine_name):
        progress.path = "claim"
        why = await _dead_because(parts, instance, progress)
        if why is None:
            return instance
        log.warning("spare_dead", user_id=str(instance.user_id), machine_id=instance.machine_id, why=why)
        instance = await parts.spares.swap_spare(
            lease, why=why, fresh=_fresh(parts, instance.user_id), actor=actor, model=parts.model
        )
    if progress.path == "claim":
        progress.path = "provision"
    return instance


async def _dead_because(parts: Parts, instance: Instance, progress: Progress) -> str | None:
    """Start it, knock until its Guard answers, and make it theirs. None: it lives.

    Raises nothing that says only that Fly's API is in trouble: whoever goes on from there hears that again.
    """
    if instance.machine_id is None or instance.private_ip is None:
        return "it has no Machine"
    progress.reach(progress.machine)
    where = instance.private_ip
    try:
        await parts.cloud.start(instance.app_name, instance.machine_id)
    except NOT_ITS_FAULT as fault:
        log.info("claim_start_failed", user_id=str(instance.user_id), error=str(fault))
        return None
    except CloudError as fault:
        return f"it does not start: {fault}"
    progress.reach("network")

    async def heard(health: Health | None) -> bool:
        if health is Health.UNCLAIMED:
            return await personalise(parts, instance, where)
        return health not in (Health.SILENT, None)  # theirs already: an answer was lost, or a replica died after it

    if await knock(parts, instance, unasked(instance), where, within=parts.pool.claim_within, heard=heard):
        progress.reach("app")
        return None
    return f"no answer within {parts.pool.claim_within}"


def _fresh(parts: Parts, user_id: UserId) -> dict[str, str]:
    """The names under which it is made from nothing, should there be no other spare."""
    settings, id = parts.settings, uuid4()
    own_app = naming.app_name(settings.env, user_id, id)
    return {
        "id": str(id),
        "app_name": own_app if settings.isolation is Isolation.APP else settings.app_name,
        "machine_name": naming.machine_name(settings.env, user_id),
    }
