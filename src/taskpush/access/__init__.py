"""Who may do what: principals, and a policy of pure functions."""
