"""Carries HTTP/1.1 and WebSockets from a listening socket to an address, streaming both ways.

Law: knows connections, heads and bodies; nothing of users, assertions or Machines. Whoever uses it
hands in one function that turns a request head into an `Answer` or a `Passage`.
"""
