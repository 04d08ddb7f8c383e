"""Who hears a session's events and changes nothing."""
