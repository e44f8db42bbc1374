"""Drivers: the implementations of the ports, chosen by name in the configuration."""
