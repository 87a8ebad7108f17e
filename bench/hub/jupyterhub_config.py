"""JupyterHub as small as it gets: no passwords, processes as single-user servers, its usual proxy."""

import os
import sys
from pathlib import Path

c = get_config()  # type: ignore[name-defined]  # noqa: F821  JupyterHub's way

hub, api, public = os.environ["BENCH_PORTS"].split(",")
c.JupyterHub.bind_url = f"http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{hub}"
c.JupyterHub.authenticator_class = "dummy"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.concurrent_spawn_limit = 100
c.JupyterHub.db_url = "sqlite:///hub.sqlite"
c.JupyterHub.log_level = "WARN"
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{api}"
c.ConfigurableHTTPProxy.command = os.environ["BENCH_PROXY"].split()
c.Authenticator.allow_all = True
c.SimpleLocalProcessSpawner.home_dir_template = str(Path.cwd() / "home" / "{username}")
c.Spawner.cmd = [sys.executable, "-S", os.environ["BENCH_APP"]]
