"""Programs that others wrote, unchanged, behind the gateway and in a real browser. They live in .venv-apps."""
