"""The few pages that are ours: landing, loading, errors. Server-rendered, no request to another host."""
