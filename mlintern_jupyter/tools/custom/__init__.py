"""Functions of the person's own as tools."""
