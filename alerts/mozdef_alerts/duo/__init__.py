"""Rules about Duo's second factor."""
