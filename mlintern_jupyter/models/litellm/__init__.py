"""Models behind litellm: requests, streamed answers, what can go wrong."""
