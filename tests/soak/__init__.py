"""A steady load for as long as one likes, and whether the server grows under it."""
