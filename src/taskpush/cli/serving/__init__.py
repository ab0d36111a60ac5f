"""`taskpush serve`: one command from a module to a running server."""
