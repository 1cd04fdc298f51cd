"""Serve: an OpenAI-compatible server, a chat page and a terminal chat over one `Service`."""
