"""The Socket.IO door: guard, namespace, and the one module that knows the library's inside."""
