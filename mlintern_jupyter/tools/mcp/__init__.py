"""Tools of MCP servers that the person connects in the configuration file, and of no others."""
