"""Where training runs. ``jobs.Jobs`` is all that the rest of the package imports from here.

A job is a folder (``job_folder``), and any process can act on it. ``terms`` says what one may cost,
``backends`` finds the engine that ``--on`` names (``protocols.Backend``), ``metrics`` and ``views``
read what a script writes. ``local`` is this machine: processes that outlive the kernel, and smokes
inside it.
"""
