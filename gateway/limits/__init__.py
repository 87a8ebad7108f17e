"""How often somebody may ask: a bucket for each user by their plan, and one for each address that signs in."""
