"""What needs a yes, what may be spent, what must never be written down.

``rules`` are data and ``gate`` gives leave by them, ``budget`` refuses before a limit is passed,
``credentials`` keeps keys from cells and from strangers, ``scrub`` takes secrets out, ``autorun``
says which cells may run without asking. What they know, they are given.
"""
