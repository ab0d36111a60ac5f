"""How a job reports: what it calls, and the values that its calls become."""
