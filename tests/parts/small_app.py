"""An App for who looks at Machines and not at what runs in them: says whose it is and what is on its disk.

Standard library only, and run without site-packages (`SMALL_APP`): it starts even quicker than the echo App.
"""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ENV = ("USER_ID", "USER_EMAIL", "GUARD_URL")
NOTE = Path(os.environ["DATA_DIR"]) / "note"


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        note = NOTE.read_text() if NOTE.exists() else ""
        whose = {"email": os.environ.get("USER_EMAIL"), "machine": os.environ.get("FLY_MACHINE_ID"), "note": note}
        self._say({name: os.environ.get(name) for name in ENV} | whose)

    def do_PUT(self) -> None:
        NOTE.write_bytes(self.rfile.read(int(self.headers["Content-Length"])))
        self._say({"kept": True})

    def _say(self, told: object) -> None:
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), App).serve_forever()
