"""Rules about MozDef's own supply of events."""
