"""Rules about what people answer when they are asked about an alert."""
