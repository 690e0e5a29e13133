"""For those who work on TrueScale; not part of what is installed."""
