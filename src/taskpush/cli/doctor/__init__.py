"""`taskpush doctor`: what is wrong between here and a server."""
