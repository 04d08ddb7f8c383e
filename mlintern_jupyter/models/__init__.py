"""Asks language models, and knows what it cost.

`names` turns what a person typed into a plan, without importing anything heavy; `factory` makes
the model of a plan. `litellm/` asks through litellm (`client`; `quiet_import` alone imports it):
`probe` asks what a server offers, `request` builds a request, in the spelling of `dialect`, and
`assembly` puts the streamed answer together; `stream_watch` sees whether it really came to its end
and that nobody else is asked, and `failures` judges what went wrong. `playbook/` is the planner
that needs no language model.
"""
