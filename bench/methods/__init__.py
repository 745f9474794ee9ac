"""One module for each method, run in a process of its own: python -m bench.methods.NAME."""
