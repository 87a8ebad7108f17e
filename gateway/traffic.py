"""What the provisioner may know of, and do to, open exchanges: the proxy's registry in its words."""

from datetime import datetime

from gateway.activity import Activity
from gateway.directory import Directory
from gateway.proxy.relay import Relay
from provisioner.instance import Instance, UserId
from provisioner.probe import endpoint_of


class OpenTraffic:
    """`provisioner.parts.Traffic` over the relay of this replica."""

    def __init__(self, relay: Relay, activity: Activity, directory: Directory, *, guard_port: int) -> None:
        self._relay = relay
        self._activity = activity
        self._directory = directory
        self._guard_port = guard_port

    def busy(self, user_id: UserId) -> bool:
        """A request waits for its answer. Streams do not count here: their bytes are activity, their silence is not."""
        live = self._relay.live
        return live.in_progress(user_id) > live.open_streams(user_id)

    def working(self, user_id: UserId) -> str | None:
        """What we do for their Machine now."""
        return self._activity.working(user_id)

    def last_touch(self, user_id: UserId) -> datetime | None:
        """Activity that may not be in the record yet."""
        return self._activity.last(user_id)

    async def end(self, instance: Instance) -> None:
        """Going away: 1001 to WebSockets, no connection kept to a Machine that is about to sleep."""
        self._directory.drop(instance.user_id)
        await self._relay.live.drain(instance.user_id, 1001)
        if instance.private_ip is not None:
            # A pooled connection to a suspended Machine hangs silently.
            self._relay.drop_pool(endpoint_of(instance.private_ip, guard_port=self._guard_port))
