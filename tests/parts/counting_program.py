"""The main process of test Machines: answers {"count", "pid", "child", "env"} over HTTP, counting ticks of 10 ms.

CHILD starts a child, CHILD=daemon one in a session of its own; DEAF ignores polite signals; EXIT_AFTER_MS ends it,
with EXIT_CODE, before it listens.
"""

import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time

count = 0
child = 0
if os.environ.get("DEAF"):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
else:
    signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
if os.environ.get("CHILD"):
    sleeper = [sys.executable, "-I", "-S", "-c", "import time; time.sleep(600)"]
    child = subprocess.Popen(sleeper, start_new_session=os.environ["CHILD"] == "daemon").pid


def tick() -> None:
    global count
    while True:
        time.sleep(0.01)
        count += 1


class Answer(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        body = json.dumps({"count": count, "pid": os.getpid(), "child": child, "env": dict(os.environ)}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if os.environ.get("EXIT_AFTER_MS"):
    time.sleep(int(os.environ["EXIT_AFTER_MS"]) / 1000)
    sys.exit(int(os.environ.get("EXIT_CODE", "0")))
host, _, port = os.environ["JARVIS_LISTEN"].rpartition(":")
threading.Thread(target=tick, daemon=True).start()
http.server.ThreadingHTTPServer((host, int(port)), Answer).serve_forever()
