"""The default App: a small chat that keeps its history on the volume. Replaced by JARVIS_COMMAND."""
