"""Benchmarks of calotype: see `bench/README.md`; run them with `make bench` or `python -m bench.run`."""
