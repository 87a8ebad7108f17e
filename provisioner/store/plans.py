"""Plans of users in Postgres."""

from collections.abc import Mapping
from typing import Any, Final

from provisioner.instance import UserId
from provisioner.store.database import queries

_queries: Final = queries("plans")


async def plans_in_force(pool: Any) -> Mapping[UserId, str]:
    """Everybody with another plan than the free one, which is in force now."""
    return {UserId(row["user_id"]): row["plan"] async for row in _queries.plans_in_force(pool)}
