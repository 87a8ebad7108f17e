"""The operator's pages on the admin listener: drawn by the server, moved by small scripts that call the admin API."""
