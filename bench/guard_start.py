"""How long a Guard takes from spawn to its first answer, and how much memory it then holds.

`python bench/guard_start.py [runs]`: medians and the worst of N runs (default 21), App excluded: the App is
`sleep`, since the Guard listens before it starts it. Targets: 200 ms, 35 MB.
"""

import base64
import os
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
HEALTH = b"GET /_guard/health HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until_answered(port: int, deadline: float) -> None:
    """Return at the first byte of an answer."""
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as line:
                line.sendall(HEALTH)
                if line.recv(1):
                    return
        except OSError:
            if time.perf_counter() > deadline:
                raise
            time.sleep(0.001)


def rss_mb(pid: int) -> float:
    """Resident memory, from /proc or else from ps."""
    status = Path(f"/proc/{pid}/status")
    if status.exists():
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS:"))
        return int(line.split()[1]) / 1024
    return int(subprocess.check_output(["ps", "-o", "rss=", "-p", str(pid)])) / 1024


def once() -> tuple[float, float]:
    """Milliseconds from spawn to ready, and MB then."""
    port = free_port()
    keep = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment = keep | {  # the image holds the bytecode too
        "FLY_MACHINE_ID": "bench",
        "JARVIS_GUARD_KEYS": f"k1:{base64.urlsafe_b64encode(bytes(32)).decode()}",
        "JARVIS_LISTEN": f"127.0.0.1:{port}",
        "JARVIS_COMMAND": "exec sleep 60",
    }
    started = time.perf_counter()
    guard = subprocess.Popen(
        [sys.executable, "-m", "golden.guard"], cwd=ROOT, env=environment, stderr=subprocess.DEVNULL
    )
    try:
        until_answered(port, started + 10)
        return (time.perf_counter() - started) * 1000, rss_mb(guard.pid)
    finally:
        guard.send_signal(signal.SIGTERM)
        guard.wait(15)


def starts(runs: int) -> list[tuple[float, float]]:
    """Milliseconds to ready and MB of so many starts."""
    once()  # the first run fills the disk cache and writes the bytecode
    return [once() for _ in range(runs)]


def main() -> None:
    """Measure and print."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 21
    results = starts(runs)
    for name, unit, values in (("ready", "ms", [r[0] for r in results]), ("rss", "MB", [r[1] for r in results])):
        print(
            f"guard {name:5}  median {statistics.median(values):6.1f} {unit}  worst {max(values):6.1f} {unit}  n={runs}"
        )


if __name__ == "__main__":
    main()
