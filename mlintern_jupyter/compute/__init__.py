"""Where training runs. A job is a folder (``job_folder``), and any process can act on it.

``local`` starts a process that outlives the kernel (``child`` is it), ``kernel`` runs smokes
inside the kernel, ``tripwire`` tells when a script opens held-out items.
"""
