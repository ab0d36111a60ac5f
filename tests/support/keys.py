"""What tests do with API keys."""


def secret_part(key: str) -> str:
    """What of a key must never be seen; it may hold a `_` of its own."""
    _, _, secret = key.split("_", 2)
    return secret
