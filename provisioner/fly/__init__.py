"""Fly's Machines API as we use it: typed calls, typed failures, no more requests than Fly allows.

Pure: `faults` (a refusal → our word for it), `machine` (JSON ↔ our shapes), `calls` (what each request looks like).
Doing: `limits` (whose turn it is), `wire` (one call, sent and retried), `creating`, `starting`, `waiting`, `removing`,
`apps` (the flows that need more than one call) and `client`, which offers all of it as `provisioner.ports.Cloud`.
"""
