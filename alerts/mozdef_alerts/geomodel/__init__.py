"""Rules about where people are."""
