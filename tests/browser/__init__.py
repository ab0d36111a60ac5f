"""What people see: the dashboard in a real browser."""
