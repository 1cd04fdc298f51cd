"""groundling: a small language model that answers from your documents, cites them, and says when they do not hold the answer."""

__version__ = "0.1.0"
