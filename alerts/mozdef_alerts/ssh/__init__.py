"""Rules about OpenSSH."""
