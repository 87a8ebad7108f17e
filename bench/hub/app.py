"""The smallest App there is, for both sides: `APP` to every GET. Runs under any Python, without this project."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class Answer(BaseHTTPRequestHandler):
    """Always the same."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"APP")

    def log_message(self, format: str, *args: object) -> None:
        """Nothing."""


if __name__ == "__main__":
    hub = urlsplit(os.environ.get("JUPYTERHUB_SERVICE_URL", ""))
    port = hub.port or int(os.environ["PORT"])
    ThreadingHTTPServer(("127.0.0.1", port), Answer).serve_forever()
