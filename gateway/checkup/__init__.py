"""Is everything there that the gateway stands on? Each finding has a code, and the code a cause, a check and a fix."""
