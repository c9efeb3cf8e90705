"""Benchmarks against the tools that users would choose otherwise. Each contender runs in a separate process."""
