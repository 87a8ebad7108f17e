"""The few pages that are ours: landing, loading, waiting, failure. Server-rendered, no request to another host.

Law: a page is a pure function of what it is given. Nothing here knows a request, a user, Fly or SQL.
"""
