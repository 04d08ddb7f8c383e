"""Tools that read and write the notebook."""
