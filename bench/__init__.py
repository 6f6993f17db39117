"""Measurements that anyone can run: `python -m bench`. Ratios of one run, never times to pass."""
