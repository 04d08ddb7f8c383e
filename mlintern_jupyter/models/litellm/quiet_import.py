# pyright: basic
"""litellm, imported so that it stays quiet: the only module that imports it.

All of what is set here has to stand before litellm is imported: two of its uploads steal
credentials on import, the price list would be fetched from the network, and a `.env` in the
notebook's folder would be loaded into the kernel's environment.
"""

from __future__ import annotations

import logging
import os
import warnings

from mlintern_jupyter.errors import ModelFailed
from mlintern_jupyter.models.names import litellm_problem

if _problem := litellm_problem():
    raise ModelFailed(_problem, do="install litellm>=1.106.2, or use `--model playbook`")
os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
os.environ.setdefault("LITELLM_MODE", "PRODUCTION")

import litellm
from litellm.exceptions import ContextWindowExceededError
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

__all__ = ["AsyncHTTPHandler", "ContextWindowExceededError", "litellm"]

litellm.suppress_debug_info = True  # else it prints into whatever cell is running
litellm.telemetry = False  # pyright: ignore[reportAttributeAccessIssue] - older versions have it
logging.getLogger("LiteLLM").setLevel(logging.ERROR)
with warnings.catch_warnings():
    # pydantic builds these classes at first use and warns about litellm's own annotations, which
    # would land in the output of whatever cell is running then.
    warnings.simplefilter("ignore")
    litellm.ModelResponse()
    litellm.ModelResponseStream()
