"""Norms that take the place of batch norm: camera-wise, and batch mixed with instance norm."""
