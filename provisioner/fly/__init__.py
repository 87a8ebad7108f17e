"""Fly's Machines API as we use it: typed calls, typed failures, no more requests than Fly allows."""
