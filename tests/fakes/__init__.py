"""Stand-ins for the outer world: they speak the real wire and keep their own books."""
