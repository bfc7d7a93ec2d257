"""Utilities for tests between implementations: unique buffer names, common frame contents."""
