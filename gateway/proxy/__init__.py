"""Bytes to an Endpoint and back.

Law: this room knows Endpoints. It has never heard of users, Fly or SQL, and imports nothing of ours but
`provisioner.instance`.
"""
