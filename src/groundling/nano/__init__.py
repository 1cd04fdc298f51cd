"""The built-in base model: its weights, and the scripts that made them."""
