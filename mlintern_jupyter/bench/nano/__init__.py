"""The nano benchmarks: a closed world, a base model that has read it, three tasks about it."""
