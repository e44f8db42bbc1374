"""Rules about what Zeek, once called Bro, has seen on the network."""
