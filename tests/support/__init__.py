"""What the tests stand on: a real server process, a severable link, raw watchers, a checker."""
