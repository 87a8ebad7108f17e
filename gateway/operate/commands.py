"""Every command of `my-jarvis admin` that asks the admin API."""

from typing import Final

from gateway.operate.house import costs, findings, needs, overview, plan, pool, queue, replicas, switches
from gateway.operate.instances import destroy, instances, logs, moving
from gateway.operate.people import operators, signups
from gateway.operate.rollout import rollout
from gateway.operate.story import extend, timeline
from gateway.operate.visits import visits

COMMANDS: Final = (
    instances,
    moving("wake", "start", "Bring each WHO up, whatever its state; answers when it is ready."),
    moving("suspend", "suspend", "Put each WHO to sleep, memory kept; open requests are cut."),
    moving("stop", "stop", "Put each WHO to sleep without its memory; open requests are cut."),
    moving("restart", "restart", "Stop each WHO, then bring it up."),
    destroy,
    timeline,
    extend,
    logs,
    queue,
    plan,
    pool,
    rollout,
    costs,
    overview,
    needs,
    findings,
    replicas,
    switches,
    signups,
    operators,
    visits,
)
