"""The front of the house: HTTP in, bytes through.

Everything a browser or an API client meets. Knows the provisioner; nothing in the provisioner knows it.
"""
