"""Fly, Supabase Auth and Postgres on one machine, speaking their own wire formats.

Law: nothing in production imports this room, and it imports nothing of the gateway or provisioner, so that
both sides of each wire are written from the foreign document and not from each other.
"""
