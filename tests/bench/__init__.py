"""The benchmark: `python -m tests.bench` compares pync with other programs on this machine."""
