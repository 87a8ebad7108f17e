"""What runs inside a Machine: the Guard at the door and a small default App behind it."""
