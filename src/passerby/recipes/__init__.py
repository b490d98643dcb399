"""Recipes: one file a method, read from top to bottom."""
