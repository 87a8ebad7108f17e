"""Supabase Auth and a stand-in for Google's sign-in page, on one loopback port.

Speaks the HTTP API of the Auth server (GoTrue) for the Google and PKCE path: the same routes, answers, error
shapes, limits and token claims, so that nothing in the gateway can tell the difference except the page that says so.

Law: imports nothing of the gateway or provisioner. Time comes in as `now`; state lives in one SQLite file.
What the real service does not have is under `/_local/` and `/google/` and nowhere else.
"""

from localcloud.auth.api import LocalAuth, local_auth

__all__ = ["LocalAuth", "local_auth"]
