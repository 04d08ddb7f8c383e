"""How a cell is kept from running: what IPython offers for it, as its hooks cannot."""

from __future__ import annotations

import ast

from IPython.core.error import InputRejected

from mlintern_jupyter.errors import InternError


class CellRefused(InputRejected):
    """Raised before the first line of a cell whose start could not be recorded."""

    def __init__(self, reason: InternError) -> None:
        self.reason = reason
        super().__init__(f"this cell did not run: {reason}")

    def _render_traceback_(self) -> list[str]:
        return str(self).splitlines()


class CellRefuser:
    """An AST transformer that rejects the next cell once it is closed."""

    def __init__(self) -> None:
        self.closed_by: InternError | None = None

    def visit(self, node: ast.AST) -> ast.AST:
        """Let the code pass as it is, or raise ``CellRefused``."""
        if self.closed_by is not None:
            reason, self.closed_by = self.closed_by, None
            raise CellRefused(reason)
        return node
