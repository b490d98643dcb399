"""Losses: a pure function each, a thin Module only where there is state."""
