"""Who may do what on the admin listener: one table, and a test that no route is missing from it."""

import re
from dataclasses import dataclass
from typing import Final

from provisioner.operators import Role


@dataclass(frozen=True, slots=True)
class Rule:
    """What a route asks of whoever calls it."""

    least: Role | None
    """None: open to everybody who reaches the listener."""
    audited: bool = True
    """False where nothing of any user can be seen."""


HEALTH: Final = ("GET", "/healthz")
METRICS: Final = ("GET", "/metrics")

RULES: Final[dict[tuple[str, str], Rule]] = {
    HEALTH: Rule(None, audited=False),
    METRICS: Rule(Role.VIEWER, audited=False),
    ("GET", "/sign-in"): Rule(None, audited=False),
    ("POST", "/sign-in"): Rule(None, audited=False),  # the handler writes down who came in
    ("POST", "/sign-out"): Rule(None, audited=False),
    ("GET", "/assets/{name}"): Rule(None, audited=False),
    ("GET", "/"): Rule(Role.VIEWER),
    ("GET", "/instances"): Rule(Role.VIEWER),
    ("GET", "/instances/{user_id}"): Rule(Role.VIEWER),
    ("GET", "/signups"): Rule(Role.VIEWER),
    ("GET", "/health"): Rule(Role.VIEWER, audited=False),
    ("GET", "/switches"): Rule(Role.VIEWER, audited=False),
    ("GET", "/rollouts"): Rule(Role.VIEWER),  # who did not come up on it
    ("GET", "/visits"): Rule(Role.VIEWER),
    ("GET", "/audit"): Rule(Role.VIEWER),
    ("GET", "/v1/openapi.json"): Rule(Role.VIEWER, audited=False),
    ("GET", "/v1/events"): Rule(Role.VIEWER),
    ("GET", "/v1/instances"): Rule(Role.VIEWER),
    ("GET", "/v1/instances/{user_id}"): Rule(Role.VIEWER),
    ("POST", "/v1/instances/{user_id}/{action}"): Rule(Role.OPERATOR),
    ("DELETE", "/v1/instances/{user_id}"): Rule(Role.OWNER),  # their disk goes with it
    ("POST", "/v1/instances/{user_id}/visit"): Rule(Role.OPERATOR),
    ("GET", "/v1/visits"): Rule(Role.VIEWER),
    ("DELETE", "/v1/visits/{visit_id}"): Rule(Role.OPERATOR),
    ("GET", "/v1/audit"): Rule(Role.VIEWER),
    ("GET", "/v1/signups"): Rule(Role.VIEWER),
    ("POST", "/v1/signups/{user_id}/{verdict}"): Rule(Role.OPERATOR),
    ("GET", "/v1/instances/{user_id}/truths"): Rule(Role.VIEWER),
    ("GET", "/v1/overview"): Rule(Role.VIEWER, audited=False),
    ("GET", "/v1/needs"): Rule(Role.VIEWER),
    ("GET", "/v1/figures"): Rule(Role.VIEWER, audited=False),
    ("GET", "/v1/replicas"): Rule(Role.VIEWER, audited=False),
    ("GET", "/v1/queue"): Rule(Role.VIEWER),
    ("POST", "/v1/queue/{user_id}/retry"): Rule(Role.OPERATOR),
    ("PATCH", "/v1/queue/{user_id}"): Rule(Role.OPERATOR),
    ("DELETE", "/v1/queue/{user_id}"): Rule(Role.OPERATOR),
    ("GET", "/v1/pool"): Rule(Role.VIEWER, audited=False),
    ("GET", "/v1/plans"): Rule(Role.VIEWER, audited=False),
    ("PUT", "/v1/users/{user_id}/plan"): Rule(Role.OPERATOR),
    ("GET", "/v1/health"): Rule(Role.VIEWER, audited=False),
    ("GET", "/v1/switches"): Rule(Role.VIEWER, audited=False),
    ("PUT", "/v1/switches/{name}"): Rule(Role.OPERATOR),
    ("GET", "/v1/instances/{user_id}/story"): Rule(Role.VIEWER),
    ("POST", "/v1/instances/{user_id}/extend"): Rule(Role.OPERATOR),
    ("GET", "/v1/findings"): Rule(Role.VIEWER),
    ("GET", "/v1/rollout"): Rule(Role.VIEWER, audited=False),
    ("POST", "/v1/rollout"): Rule(Role.OWNER),  # what it names runs beside everybody's data
    ("POST", "/v1/rollout/{order}"): Rule(Role.OPERATOR),
    ("GET", "/v1/webhooks"): Rule(Role.OPERATOR),
    ("POST", "/v1/webhooks"): Rule(Role.OWNER),  # what happens here is told to whoever is named
    ("DELETE", "/v1/webhooks/{id}"): Rule(Role.OWNER),
    ("POST", "/v1/webhooks/{id}/test"): Rule(Role.OPERATOR),
    ("GET", "/v1/webhooks/{id}/deliveries"): Rule(Role.OPERATOR),
    ("POST", "/v1/webhooks/{id}/deliveries/{delivery_id}/retry"): Rule(Role.OPERATOR),
    ("GET", "/v1/operators"): Rule(Role.OWNER),
    ("POST", "/v1/operators"): Rule(Role.OWNER),
    ("DELETE", "/v1/operators/{name}"): Rule(Role.OWNER),
}
"""By method and path as aiohttp writes it. What is not here is refused to everybody."""


def allows(role: Role, method: str, path: str) -> bool:
    """Whether whoever has this role may make this call. `path` as it is sent, ids and all."""
    found = [
        (template.count("{"), rule)
        for (of, template), rule in RULES.items()
        if of == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path)
    ]
    if not found:
        return False
    _, rule = min(found, key=lambda each: each[0])  # aiohttp, too, prefers the path that says more
    return rule.least is None or role.covers(rule.least)
