"""What is measured. A file here is a metric; its name is its name in the config.

`score(case, answer)` is the number of one question, or None where the question is not in the metric's denominator. The value is the mean of
those numbers. Where it is not, `score` gives a tuple of parts instead; the parts of all questions are added up and
`summarise(*sums)` makes the value of the sums. It must work on arrays, because intervals and tests call it thousands of times at once.

`FORMATS` names the prompt formats that the metric measures; without it, those whose answers rest on retrieved passages (`sections.GROUNDED`).

The docstring's first paragraph is what the report prints beside the metric; the second names the denominator and the source.
"""
