"""Composition roots: the only modules that know everything."""
