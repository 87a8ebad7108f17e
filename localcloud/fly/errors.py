"""What the API answers when it refuses: status and body, in the words that Fly uses.

Callers tell failures apart by these texts (one status has up to six meanings), so they are part of the contract.
"""

from collections.abc import Iterable, Mapping

from localcloud.fly.states import State


class Refused(Exception):
    """An answer other than success. The edge turns it into `status`, `body` and `headers`; nothing was changed."""

    def __init__(self, status: int, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> None:
        super().__init__(f"{status} {dict(body)}")
        self.status, self.body, self.headers = status, dict(body), dict(headers or {})


def refusal(status: int, error: str, code: str | None = None) -> Refused:
    """The common body: `error`, and `status` where Fly gives a machine-readable one."""
    return Refused(status, {"error": error} | ({"status": code} if code else {}))


def unauthenticated() -> Refused:
    return refusal(401, "Authenticate: token validation error")


def invalid(problem: str) -> Refused:
    return refusal(400, f"invalid_argument: {problem}")


def invalid_request(problems: Iterable[str]) -> Refused:
    return invalid("; ".join(problems))


def not_found(what: str) -> Refused:
    return refusal(404, f"not_found: {what} not found")


def not_built(method: str, path: str) -> Refused:
    return refusal(501, f"unimplemented: the local Fly does not know {method} {path}")


def bad_app_name() -> Refused:
    return refusal(422, "Validation failed: Name under 63 chars using numbers, lowercase letters and dashes")


def app_name_taken() -> Refused:
    return refusal(422, "Validation failed: Name has already been taken", "name_taken")


def machine_name_taken(machine_id: str, name: str) -> Refused:
    return refusal(
        409,
        f'already_exists: unique machine name violation, machine ID {machine_id} already exists with name "{name}"',
    )


def wrong_state(verb: str, state: State) -> Refused:
    return refusal(412, f"failed_precondition: unable to {verb} machine from current state: '{state}'")


def being_replaced() -> Refused:
    return refusal(412, "failed_precondition: machine getting replaced, refusing to start")


def concurrent_update() -> Refused:
    return refusal(409, "aborted: machine update failed due to concurrent update")


def stale_version(current: str) -> Refused:
    return refusal(409, f"aborted: current_version is stale, the machine is at version {current}")


def lease_held(machine_id: str, owner: str, expires_at: str) -> Refused:
    """On the lease call itself."""
    return refusal(409, lease_conflict(machine_id, owner, expires_at))


def lease_blocks(machine_id: str, owner: str, expires_at: str) -> Refused:
    """On other calls the body has another shape."""
    return Refused(409, {"status": "error", "message": lease_conflict(machine_id, owner, expires_at)})


def lease_conflict(machine_id: str, owner: str, expires_at: str) -> str:
    return f"machine ID {machine_id} lease currently held by {owner}, expires at {expires_at}"


def metadata_version(current: str) -> Refused:
    return refusal(412, f"failed_precondition: machine_version does not match, the machine is at {current}")


def wait_expired(wanted: str, current: str) -> Refused:
    return refusal(408, f"deadline_exceeded: machine failed to reach desired state, {wanted}, currently {current}")


def wait_out_of_range(seconds: int) -> Refused:
    return invalid(f"invalid timeout {seconds}s: value must be inside range [1s, 1m0s]")


def volume_gone() -> Refused:
    return refusal(400, "invalid_argument: volume not found")


def volume_attached(volume_id: str, machine_id: str) -> Refused:
    return refusal(412, f"failed_precondition: volume {volume_id} is currently attached to machine {machine_id}")


def host_unreachable() -> Refused:
    return refusal(503, "unavailable: the host of this machine is unreachable")


def unsuspendable(reason: str) -> Refused:
    return refusal(400, f"invalid_argument: machine cannot be suspended: {reason}")


def too_many_requests(retry_after: int | None) -> Refused:
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return Refused(429, {"error": "rate limit exceeded"}, headers)


def no_capacity(scope: str, *, for_volume: bool) -> Refused:
    """Out of room, by `scope`: `host`, `volume_host`, `region` or `organisation`."""
    match scope:
        case "host":
            return refusal(
                409,
                "aborted: could not reserve resource for machine: insufficient memory available to fulfill request",
            )
        case "volume_host":
            return refusal(
                412,
                "failed_precondition: insufficient resources to create new machine with existing volume",
                "volume_placement_capacity",
            )
        case "region" if for_volume:
            return refusal(400, "invalid_argument: no capacity available in the region to create a volume")
        case "region":
            return refusal(422, "could not find a candidate host for the machine", "insufficient_capacity")
        case _:
            return refusal(
                403,
                "organization would use more memory in this region, which is over the allowed quota. "
                "please consider other regions",
            )
