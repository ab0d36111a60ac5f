"""From what was committed to what one connection is sent: hub, subscriptions, outboxes."""
