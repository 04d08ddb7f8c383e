"""Where the packages meet: what a session and a turn are made of."""
