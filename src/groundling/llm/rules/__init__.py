"""The rules by which the teacher `template` finds facts in a text and asks about them, without a model.

`facts.py` finds them, `tables.py` those of tables, with a cell's question in `cell.py`, `people.py` and `things.py`; `asking.py` puts the
question, and `rephrasing.py`, `otherwords.py` and `shortening.py` put it as people do, in other words than the text.
"""
