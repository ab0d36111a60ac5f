"""Attempts that producers outside the server report."""
