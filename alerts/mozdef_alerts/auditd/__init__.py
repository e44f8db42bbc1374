"""Rules about what the Linux audit daemon has recorded."""
