"""What users do for themselves: sessions, tokens, their data, the end of it all. On an origin of its own.

Law: nothing asked of this room ever reaches a Machine, and nothing here is done for a request from another origin:
pages of Machines may be hostile, and they share the public origin.
"""
