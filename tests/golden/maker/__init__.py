"""The parts of ``make.py``: the inputs of the golden fixture and what the reference makes of them."""
