"""A page on socket.io that starts with polling: counters in the server's memory, and files for the volume."""

import os
from pathlib import Path

from nicegui import app, events, ui

app.config.socket_io_js_transports = ["polling", "websocket"]


@ui.page("/")
def page() -> None:
    clicks = ui.label("0 clicks")
    ticks = ui.label("0 ticks")
    counted = {"clicks": 0, "ticks": 0}

    def click() -> None:
        counted["clicks"] += 1
        clicks.text = f"{counted['clicks']} clicks"

    def tick() -> None:
        counted["ticks"] += 1
        ticks.text = f"{counted['ticks']} ticks"

    async def keep(event: events.UploadEventArguments) -> None:
        await event.file.save(Path(os.environ["DATA_DIR"]) / event.file.name)
        ui.label(f"{event.file.name} is kept")

    ui.upload(on_upload=keep, auto_upload=True)
    ui.button("Click", on_click=click)
    ui.timer(0.1, tick)


ui.run(host="127.0.0.1", port=int(os.environ["PORT"]), show=False, reload=False, reconnect_timeout=30)
