"""What a session says of itself, for people: card, page, lists, questions."""
