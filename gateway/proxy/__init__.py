"""Bytes to an Endpoint and back.

Law: this room knows Endpoints. It has never heard of users, Fly or SQL, and imports nothing of ours but
`provisioner.instance` and `provisioner.clock`.

From the client inwards: `inlet` (a strict gate for one connection), `front` (who answers it, and how it ends), `plain`
(all connections of a listener), `lane` (a request answered without a task), `exchange` (what happens between the two
sides), `upstream` (connections and their pool), `splice` (a WebSocket), `engine` and `live` (what all exchanges share,
and who is served right now). Both sides use `framing`, `heads`, `asked`, `block`, `fields`, `passage`, `answering`,
`frames`. All of this knows nothing of aiohttp, and the Guard in every Machine relays through it too.

With aiohttp, for the gateway alone: `server` and `core` (a core behind the lane), `relay` (its handler), `relayed`.
"""
