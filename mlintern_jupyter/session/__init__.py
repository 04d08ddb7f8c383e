"""Where the packages meet: one worker thread, one inbox of commands, one bus of events.

``running`` is a session at work, ``readouts`` what it says of itself to people, ``sinks`` who hears
its events, ``wiring`` what sessions and turns are made of.
"""
