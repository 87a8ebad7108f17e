"""Bytes to an Endpoint and back.

Law: this room knows Endpoints. It has never heard of users, Fly or SQL, and imports nothing of ours but
`provisioner.instance` and `provisioner.clock`.

From the client inwards: `server` (all client connections), `front` (one of them, a strict gate), then either `lane`
(plain requests, nothing of aiohttp's) or `core` and `relay` (aiohttp, for everything else). Shared by both: `asked`,
`heads`, `fields` and `framing` (reading), `passage` (where to), `exchange` and `answering` (what happens between both
connections), `upstream` (connections and their pool), `splice` and `frames` (a WebSocket), `live` (who is served now).
"""
