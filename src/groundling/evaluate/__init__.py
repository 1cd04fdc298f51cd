"""A model to scores: the questions as cases, the answers as rows, the metrics with their intervals, the report."""
