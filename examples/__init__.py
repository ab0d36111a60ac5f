"""Example kinds, written only with the public API of taskpush."""
