"""The Guard: lets the gateway in and nobody else, starts the App, and says whether it works.

Law: imports nothing of ours, and nothing heavy; every user's Machine pays for it in memory.
"""
