"""Sends the events of tasks to their webhooks."""
