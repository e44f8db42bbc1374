"""Rules about what the Linux kernel says."""
