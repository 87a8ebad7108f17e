"""Changing a Machine that rests into what its Instance should have: size, image, and room on its volume."""

import structlog

from provisioner.errors import CloudError
from provisioner.fit import Fit, fit_for
from provisioner.instance import Instance
from provisioner.parts import Parts
from provisioner.ports import Lease, MachineState

log = structlog.get_logger(__name__)

AT_REST = (MachineState.SUSPENDED, MachineState.STOPPED, MachineState.FAILED)


def fit_of(parts: Parts, instance: Instance) -> Fit:
    """What this Instance should have now, by its user's plan and by the rollout that is under way."""
    return fit_for(instance, parts.plans.of(instance.user_id), image=parts.images.wanted(instance))


async def refit(parts: Parts, lease: Lease, instance: Instance, fit: Fit, *, actor: str) -> Instance:
    """Give its Machine, which rests, the size and image of `fit`, and its volume room; recorded as each is done.

    What is on the volume is not touched. Repeatable after any failure. Raises CloudError, Moved.
    """
    if instance.volume_id is not None and (instance.volume_gb is None or instance.volume_gb < fit.volume_gb):
        await parts.cloud.extend_volume(instance.app_name, instance.volume_id, fit.volume_gb)
        instance = await parts.store.record(lease, volume_gb=fit.volume_gb)
    if instance.machine_id is not None and (instance.guest, instance.image) != (fit.guest, fit.image):
        machine = await parts.cloud.update(instance.app_name, instance.machine_id, image=fit.image, guest=fit.guest)
        await parts.cloud.wait(instance.app_name, machine, AT_REST, timeout=parts.settings.sleep_within)
        log.info(
            "refitted",
            user_id=str(instance.user_id),
            guest=str(fit.guest),
            was=str(instance.guest),
            image=fit.image,
            was_image=instance.image,
        )
        if instance.guest != fit.guest:
            instance = await parts.store.record(lease, guest=fit.guest)
        if instance.image != fit.image:
            rollout = parts.images.newest
            on = rollout.id if rollout is not None and rollout.image == fit.image else None
            instance = await parts.rollouts.record_image(lease, fit.image, rollout_id=on, actor=actor)
    return instance


async def try_refit(parts: Parts, lease: Lease, instance: Instance, fit: Fit, *, actor: str) -> Instance:
    """`refit`; if Fly will not, the Instance as it is: the next time it rests it is tried again. Raises Moved."""
    try:
        return await refit(parts, lease, instance, fit, actor=actor)
    except CloudError as fault:
        log.warning("not_refitted", user_id=str(instance.user_id), error=str(fault))
        return instance
