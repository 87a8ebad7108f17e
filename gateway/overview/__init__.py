"""What an operator wants to know at a glance: numbers, costs, and what needs somebody. Reads; changes nothing."""
