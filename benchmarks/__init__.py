"""Speed and memory, measured beside what is replaced: `python -m benchmarks.NAME`."""
