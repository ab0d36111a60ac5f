"""The use cases: what can be done with tasks, whichever door it is asked through."""
