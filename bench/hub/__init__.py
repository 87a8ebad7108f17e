"""First visits beside JupyterHub's first spawns, on the same App: `make bench-hub`."""
