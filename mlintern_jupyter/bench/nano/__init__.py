"""The nano tasks: a closed world, a base model that has read about it, three tasks about it."""
