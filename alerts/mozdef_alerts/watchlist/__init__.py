"""The rule about terms that people watch for."""
