"""Tools that look things up: recipes, installed libraries, sub-agents."""
