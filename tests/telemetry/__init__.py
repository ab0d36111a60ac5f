"""Telemetry: what is said, and how it is written down."""
