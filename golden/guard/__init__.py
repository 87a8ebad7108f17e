"""The Guard: lets the gateway in and nobody else, starts the App, and says whether it works.

Law: of ours it imports the engine of the gateway's proxy and nothing else, and it stays free of anything heavy: every
user's Machine pays for it in memory and in the time it takes to start.
"""
