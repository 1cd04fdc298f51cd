"""One file for each task that the fake teacher recognises: `answer(asked)` gives a value, or None where the prompt is not its task's."""
