"""Casework: alerts and what surrounds them, kept in a relational database."""
