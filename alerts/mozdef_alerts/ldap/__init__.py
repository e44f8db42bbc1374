"""Rules about directory servers."""
