"""Typed internal events; logs (and later metrics) subscribe to them."""
