"""Coqui's package, in name."""
