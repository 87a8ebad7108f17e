"""Bytes to an Endpoint and back.

Law: this room knows Endpoints. It has never heard of users, Fly or SQL, and imports nothing of ours but
`provisioner.instance` and `provisioner.clock`.

From the client inwards: `front` (aiohttp behind a strict gate), `relay` (one request, one upstream connection),
`exchange` (what happens between the two), `upstream` (connections and their pool), `splice` (a WebSocket), `live`
(who is served right now). Without aiohttp and shared by every lane: `framing`, `heads`, `fields`, `passage`,
`answering`, `frames`.
"""
