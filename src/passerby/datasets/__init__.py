"""Readers: one module a data set layout."""
