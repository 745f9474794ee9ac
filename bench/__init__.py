"""Benchmarks: ratios within one run on one machine, medians of several runs."""
