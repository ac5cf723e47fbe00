"""Damaged files, wrong invocations, kills and exchanges: made from a seed, given to the program, and judged."""
