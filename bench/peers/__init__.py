"""The servers that are measured beside taskpush: each as small as its users would write it.

All do the same: a client names a channel and gets its events. `POST /flow` starts events on
channels: `{channels, events, rate_hz, start_us, size_bytes, stagger_us}`.
"""
