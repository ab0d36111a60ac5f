"""`taskpush watch`: tasks shown live until they are over."""
