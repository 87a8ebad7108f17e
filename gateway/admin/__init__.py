"""The operator's door: a separate listener with its own credential."""
