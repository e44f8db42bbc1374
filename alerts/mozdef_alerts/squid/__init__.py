"""Rules about what went through the proxy Squid, or was refused there."""
