"""Rules about what is not there."""
