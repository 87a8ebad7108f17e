"""Fly's Machines API on loopback, in which every Machine is a real child process.

Written from Fly's published OpenAPI document and from what its users measured. Laws: decisions (`states`, `shapes`,
`limits`, `faults`) are plain functions of values; only `process` and `tree` touch processes, only `disk` and `memory`
touch files. What is not built answers 501, never a polite lie.
"""

from localcloud.fly.faults import Latencies
from localcloud.fly.server import LocalFly, local_fly

__all__ = ["Latencies", "LocalFly", "local_fly"]
