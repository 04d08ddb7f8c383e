"""Post-training tasks small enough for two CPU cores, and the scorer that judges every task.

A benchmark is a folder (see ``task``); the ones shipped live under ``bench/nano``. What a
checkpoint scores is decided by a separate process (``python -m mlintern_jupyter.bench.score``),
what a difference means by ``statistics``.
"""
