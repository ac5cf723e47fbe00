"""What `bench/encoders.py` measures side by side."""
