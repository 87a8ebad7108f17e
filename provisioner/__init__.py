"""The back of the house: a library that knows Fly, Postgres and the life of an Instance.

Law: it never imports `gateway`; its two adapters, `provisioner.fly` and `provisioner.store`, never meet.
"""
