"""Rules about Amazon's cloud."""
