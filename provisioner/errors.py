"""What can go wrong behind the gateway, in words. One table at the edge turns them into answers.

`sure` tells what a caller may conclude: True means that nothing was done at the other side, so asking again is
safe; False means that the outcome is unknown and has to be looked up first.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class ProvisionerError(Exception):
    """Anything the provisioner raises on purpose."""


class Moved(ProvisionerError):
    """The row was not in the expected state, or the lease was lost. Nothing changed: read again and decide anew."""


class WakeExpired(ProvisionerError):
    """Not ready by the deadline. The wake goes on, so asking again may succeed."""


class ProvisioningFailed(ProvisionerError):
    """The Instance waits in `provisioning_queue`; `cause` is written for the user."""

    def __init__(self, cause: str, *, next_retry_at: datetime | None = None) -> None:
        super().__init__(cause)
        self.cause, self.next_retry_at = cause, next_retry_at


class BeingDeleted(ProvisionerError):
    """The Instance is on its way out and takes no more traffic."""


class CloudError(ProvisionerError):
    """Fly said no, or said nothing.

    `status` is Fly's HTTP status (None if there was no answer), `request_id` its `fly-request-id`. The message
    carries Fly's own words and never a credential; `words` is what a user may read.
    """

    sure: ClassVar[bool] = True
    words: ClassVar[str] = "The cloud that runs your machine refused what we asked of it."

    def __init__(self, message: str, *, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status, self.request_id = status, request_id


class NotThere(CloudError):
    """404: gone, or not visible yet just after its creation."""


class NotAllowed(CloudError):
    """401/403 on our own token: no call will succeed until the operator mends it."""

    words = (
        "The key with which we operate the cloud is not accepted any more, so no machine can be started."
        " That is ours to mend, and we have been told."
    )


class RateLimited(CloudError):
    """429. `retry_after` in seconds where Fly sent a numeric one."""

    words = "The cloud that runs your machine asked us to slow down."

    def __init__(self, message: str, *, retry_after: float | None = None, **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]
        self.retry_after = retry_after


class Scope(StrEnum):
    """How far a lack of capacity reaches, smallest first (facts: Fly's 409/412/422/403 bodies)."""

    HOST = "host"
    VOLUME_HOST = "volume_host"
    REGION = "region"
    ORGANISATION = "organisation"


class NoCapacity(CloudError):
    """No room. Only REGION and ORGANISATION justify another region; a full host wants another host."""

    words = "The cloud that runs your machine has no room in this region right now."

    def __init__(self, message: str, *, scope: Scope, **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]
        self.scope = scope


class NameTaken(CloudError):
    """A resource of this name exists. `machine_id` names it where Fly tells."""

    words = "A machine with your machine's name exists already, but it is not ours to use."

    def __init__(self, message: str, *, machine_id: str | None = None, **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]
        self.machine_id = machine_id


class LeaseHeld(CloudError):
    """Somebody else holds Fly's lease on the Machine; ask again after `until` (None if Fly did not say)."""

    words = "Somebody is working on your machine right now."

    def __init__(self, message: str, *, until: datetime | None = None, **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]
        self.until = until


class WrongState(CloudError):
    """The Machine's state does not allow this (412/409/408). `current` is the state Fly named, if any."""

    words = "Your machine did not start in time."

    def __init__(self, message: str, *, current: str | None = None, **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]
        self.current = current


class Refused(CloudError):
    """400/422 and unmapped 4xx: the request itself is wrong, repeating it will not help."""


class CloudBroken(CloudError):
    """5xx: Fly had a fault; whether it acted is unknown."""

    sure = False
    words = "The cloud that runs your machine has a fault."


class CloudSilent(CloudError):
    """No answer in time, or a broken connection after the request was sent: the outcome is unknown."""

    sure = False
    words = "The cloud that runs your machine does not answer."


class CloudUnreachable(CloudError):
    """No connection could be made: nothing was sent."""

    words = "The cloud that runs your machine cannot be reached."


class CloudResting(CloudUnreachable):
    """Fly failed on so many calls that it is left alone for a while. Nothing was sent; `retry_after` in seconds."""

    words = "The cloud that runs your machine has a fault. We try again as soon as it answers."

    def __init__(self, message: str, *, retry_after: float, **where: object) -> None:
        super().__init__(message, **where)  # type: ignore[arg-type]
        self.retry_after = retry_after


class NotReady(ProvisionerError):
    """The Machine runs, but its App did not answer in time. `words` is what a user may read."""

    words: ClassVar[str] = "Your machine started, but the app on it did not answer in time."


class HostLost(NotReady):
    """The Machine's host is out of reach, and there is no snapshot to restore its disk from elsewhere."""

    words = "The computer that your machine lives on is out of reach. We try again until it is back."
