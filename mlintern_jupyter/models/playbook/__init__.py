"""The planner that needs no language model."""
