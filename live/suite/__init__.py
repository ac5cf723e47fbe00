"""The parts of the live suite: the two programs, and what it means that their rankings agree."""
