"""Stores, people, assignments and quotas by CSV: read and checked as a whole, taken all or not at all."""
