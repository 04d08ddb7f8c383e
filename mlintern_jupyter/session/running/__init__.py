"""A session at work: its worker thread, its turns, its open questions."""
