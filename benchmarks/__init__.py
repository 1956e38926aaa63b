"""Speed, memory and start-up against the targets and the peers; `python -m benchmarks` writes RESULTS.md."""
