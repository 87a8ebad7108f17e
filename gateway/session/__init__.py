"""Who is asking: sign-in through Supabase Auth, server-side sessions, token checks.

Law: this room ends at an `Identity`. It never learns where that person's Machine is.
"""
