"""Tools that measure and compare models."""
