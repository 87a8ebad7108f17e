"""Who may be put to sleep? Pure judgements over what is recorded and what this replica knows."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from provisioner.instance import Instance, State, UserId


def quiet(
    instances: Iterable[Instance],
    *,
    now: datetime,
    after: timedelta,
    touched: Mapping[UserId, datetime],
) -> list[Instance]:
    """Instances to suspend at `now`: ACTIVE and without activity for at least `after`.

    `touched` holds activity that this replica has not written to the record yet.
    """
    return [
        instance
        for instance in instances
        if instance.state is State.ACTIVE
        and now - max(instance.last_active, touched.get(instance.user_id, instance.last_active)) >= after
    ]


def overslept(instances: Iterable[Instance], *, now: datetime, after: timedelta) -> list[Instance]:
    """Instances to stop at `now`: suspended for at least `after`, so that their snapshot is given up."""
    return [i for i in instances if i.state is State.SUSPENDED and now - i.state_since >= after]
