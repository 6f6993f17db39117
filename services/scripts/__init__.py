"""Scripts: what writes them, the phases they go through, and what each phase asks."""
