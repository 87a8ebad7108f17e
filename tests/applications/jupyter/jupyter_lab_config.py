"""JupyterLab as the App of a Machine. The gateway has asked who it is: Jupyter need not ask again."""

import os

c = get_config()  # noqa: F821  Jupyter gives it
c.ServerApp.ip = "127.0.0.1"
c.ServerApp.port = int(os.environ["PORT"])
c.ServerApp.port_retries = 0
c.ServerApp.root_dir = os.environ["DATA_DIR"]
c.ServerApp.open_browser = False
c.ServerApp.allow_root = True
c.IdentityProvider.token = ""
# Host names the gateway's public address. Origin is still held against it, and the XSRF cookie is still asked for.
c.ServerApp.allow_remote_access = True
c.ServerApp.trust_xheaders = True
# Nothing asks other hosts for news, and nothing looks for compilers and package managers of the machine.
c.LabApp.news_url = None
c.LabApp.check_for_updates_class = "jupyterlab.handlers.announcements.NeverCheckForUpdate"
c.LabApp.extension_manager = "readonly"
c.LanguageServerManager.autodetect = False
