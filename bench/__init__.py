"""What the gateway costs beside what people would pick instead, measured on this machine.

`make bench` writes docs/performance.md, `make bench-quick` prints one JSON line, `make bench-hub` compares first
visits with JupyterHub. Law: the product knows nothing of this folder, and the system under test is the real
`my-jarvis serve` with everything on. Deciding (targets, figures, wrk, head) is pure and tested in tests/bench.
"""
