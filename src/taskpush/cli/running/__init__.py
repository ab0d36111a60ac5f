"""`taskpush run`: any program as a task that can be watched."""
