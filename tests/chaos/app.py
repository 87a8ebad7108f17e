"""The App of these Machines: says whose it is and what is on its disk. Standard library only, so that it boots fast."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

NOTE = Path(os.environ["DATA_DIR"]) / "note"


class App(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        note = NOTE.read_text() if NOTE.exists() else ""
        self._say({"email": os.environ.get("USER_EMAIL"), "machine": os.environ.get("FLY_MACHINE_ID"), "note": note})

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
