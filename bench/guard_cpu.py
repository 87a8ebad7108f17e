"""How much CPU the Guard adds to a small request.

`python bench/guard_cpu.py [requests]`: small GETs, one after another over one kept connection and then over eight at
once, through a Guard to the smallest possible App, with the gateway's assertion on each. CPU is user and system time
of the Guard's process over the requests. Target: 60 µs.
"""

import base64
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from hashlib import sha256
from hmac import digest
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEY = bytes(32)
USER = "6f1c1f0e-7c1f-4d0a-9c37-3a8b2d6c5e01"
BODY = b"x" * 100
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
APP = f"""
import asyncio, os
class App(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
    def data_received(self, data):
        self.transport.write({ANSWER!r} * data.count(b"\\r\\n\\r\\n"))
async def main():
    server = await asyncio.get_running_loop().create_server(App, "127.0.0.1", int(os.environ["PORT"]))
    await server.serve_forever()
asyncio.run(main())
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def assertion() -> str:
    def part(value: bytes) -> str:
        return base64.urlsafe_b64encode(value).rstrip(b"=").decode()

    now = int(time.time())
    claims = {"sub": USER, "email": "ada@example.com", "aud": "bench", "iat": now, "exp": now + 300}
    head = json.dumps({"alg": "HS256", "typ": "JWT", "kid": "k1"}).encode()
    signed = f"{part(head)}.{part(json.dumps(claims).encode())}"
    return f"{signed}.{part(digest(KEY, signed.encode(), sha256))}"


def request() -> bytes:
    """As it comes from the gateway for a browser."""
    return (
        "GET /api/notes?page=2 HTTP/1.1\r\nHost: jarvis.example\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n"
        "Accept: application/json\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\nCookie: theme=dark\r\n"
        "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: jarvis.example\r\n"
        "Forwarded: for=1.2.3.4;proto=https;host=jarvis.example\r\n"
        f"X-Jarvis-User: {USER}\r\nX-Jarvis-Email: ada@example.com\r\nX-Jarvis-Assertion: {assertion()}\r\n\r\n"
    ).encode()


def ask(port: int, asked: bytes, times: int) -> None:
    """`times` requests over one connection, each after the answer to the one before."""
    with socket.create_connection(("127.0.0.1", port), timeout=40) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(times):
            line.sendall(asked)
            got = b""
            while not got.endswith(BODY):
                more = line.recv(65536)
                if not more or not (got + more).startswith(b"HTTP/1.1 200 "[: len(got + more)]):
                    raise SystemExit(f"no good answer: {got + more!r}")
                got += more


def cpu_s(pid: int) -> float:
    """User and system time so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(guard: int, port: int, requests: int, lines: int) -> float:
    """CPU-µs of the Guard for each of `requests`, spread over so many connections."""
    asked = request()
    before = cpu_s(guard)
    threads = [threading.Thread(target=ask, args=(port, asked, requests // lines)) for _ in range(lines)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return (cpu_s(guard) - before) / (requests // lines * lines) * 1e6


def added(requests: int) -> dict[int, list[float]]:
    """CPU-µs a request, sorted, of three runs each over one connection and over eight at once."""
    port = free_port()
    environment = os.environ | {
        "FLY_MACHINE_ID": "bench",
        "JARVIS_GUARD_KEYS": f"k1:{base64.urlsafe_b64encode(KEY).decode()}",
        "JARVIS_LISTEN": f"127.0.0.1:{port}",
        "JARVIS_COMMAND": f'exec "{sys.executable}" -c "$BENCH_APP"',
        "BENCH_APP": APP,
        "USER_ID": USER,
    }
    guard = subprocess.Popen(
        [sys.executable, "-m", "golden.guard"], cwd=ROOT, env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        assert guard.stderr is not None
        next(line for line in guard.stderr if '"app_ready"' in line)
        ask(port, request(), 2_000)  # caches fill, the bytecode specialises
        return {lines: sorted(measure(guard.pid, port, requests, lines) for _ in range(3)) for lines in (1, 8)}
    finally:
        guard.send_signal(signal.SIGTERM)
        guard.wait(15)


def main() -> None:
    """Measure and print."""
    requests = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    for lines, took in added(requests).items():
        print(f"guard cpu  {lines} connection(s)  median {took[1]:5.1f} µs  worst {took[2]:5.1f} µs  a request")


if __name__ == "__main__":
    main()
