"""The admin room put together: every desk, its door and its loops. Adapters are handed in."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from gateway.admin.book import AdminBook
from gateway.admin.events import EventDesk
from gateway.admin.feed import Feed, Log
from gateway.admin.guard import Doorkeeper
from gateway.admin.instances import InstanceDesk, Records
from gateway.admin.keys import Once
from gateway.admin.people import People
from gateway.admin.routes import AdminApi
from gateway.admin.signups import SignupDesk, Signups
from gateway.admin.visits import VisitDesk
from gateway.observe import Metrics
from gateway.session.visits import Visits
from provisioner.audit import Trail
from provisioner.clock import Clock
from provisioner.lifecycle import Lifecycle
from provisioner.operators import Operators


class AdminStore(Records, Trail, Log, Protocol):
    """The store, as far as operators need it."""


@dataclass(frozen=True, slots=True)
class AdminRoom:
    """The application for the listener, and `loops`: what has to run beside it, by name."""

    api: AdminApi
    loops: Mapping[str, Callable[[], Coroutine[Any, Any, None]]]


def admin_room(
    *,
    pool: Any,
    queries: Any,
    store: AdminStore,
    news: Callable[[], AsyncGenerator[str | None, None]],
    lifecycle: Lifecycle,
    clock: Clock,
    metrics: Metrics,
    operators: Operators,
    signups: Signups,
    visits: Visits,
    public_url: str,
    token: str,
    open_metrics: bool,
    master_keys: Mapping[str, bytes],
) -> AdminRoom:
    """`queries`: those of sql/queries/admin.sql. `news`: an item for each row of the audit log, see Feed."""
    book = AdminBook(pool, queries, clock)
    feed = Feed(store, news, clock)
    api = AdminApi(
        InstanceDesk(store, lifecycle, clock),
        People(operators, store),
        SignupDesk(signups),
        VisitDesk(visits, store, public_url),
        EventDesk(feed),
        door=Doorkeeper(token=token, operators=operators, trail=store, clock=clock, open_metrics=open_metrics),
        once=Once(book, master_keys, clock),
        metrics=metrics,
    )
    return AdminRoom(api, {"audit_news": feed.run})
