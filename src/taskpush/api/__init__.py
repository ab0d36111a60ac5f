"""The HTTP door: REST, the pages, and the application they and the socket are mounted in."""
