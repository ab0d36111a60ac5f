"""The store without a disk."""
