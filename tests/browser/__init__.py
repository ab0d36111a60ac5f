"""What people see: the demo page in a real browser."""
