"""What the handlers find in the application."""

from typing import Final

from aiohttp import web

from localcloud.fly.calls import Calls
from localcloud.fly.faults import Faults
from localcloud.fly.flycast import Flycast
from localcloud.fly.host import Host
from localcloud.fly.leases import Leases
from localcloud.fly.life import Life
from localcloud.fly.verbs import Verbs
from localcloud.fly.volumes import Volumes
from localcloud.fly.world import World

WORLD: Final = web.AppKey("world", World)
LIFE: Final = web.AppKey("life", Life)
VERBS: Final = web.AppKey("verbs", Verbs)
VOLUMES: Final = web.AppKey("volumes", Volumes)
LEASES: Final = web.AppKey("leases", Leases)
FAULTS: Final = web.AppKey("faults", Faults)
CALLS: Final = web.AppKey("calls", Calls)
FLYCAST: Final = web.AppKey("flycast", Flycast)
HOST: Final = web.AppKey("host", Host)
