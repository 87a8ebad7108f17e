"""`python -m bench full|quick|hub`."""

import json
import signal
import sys
from types import FrameType

from bench.install import install
from bench.ours import lanes
from bench.processes import Failed
from bench.run import measure, staged
from bench.targets import CHP, NGINX, summary
from bench.workloads import QUICK


def quick() -> None:
    """The targets only, for the fastest lane there is; the last line of stdout is one JSON object."""
    lane = lanes()[-1]
    with staged(install(), [lane], [NGINX, CHP], QUICK) as stage:
        result = measure(stage, [lane], QUICK, everybody=False)
    print(json.dumps(summary(lane, result.rounds)))


def full() -> None:
    raise Failed("not yet")


def main() -> int:
    """Exit code 0, 1 with a reason, 130 after Ctrl-C."""
    signal.signal(signal.SIGTERM, _end)
    what = {"full": full, "quick": quick}.get(sys.argv[1] if len(sys.argv) == 2 else "")
    if what is None:
        print("usage: python -m bench full|quick|hub", file=sys.stderr)
        return 2
    try:
        what()
    except Failed as reason:
        print(f"bench: {reason}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


sys.exit(main())
