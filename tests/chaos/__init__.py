"""What `make chaos` does: people live with their Machines while Fly fails and gateways are killed, and all is counted.

Everything is real: Postgres, two `my-jarvis serve` processes, a Guard and an App in every Machine. Who does what under
which trouble follows from one number, the seed; only what the operating system decides in between is left to chance.
"""
