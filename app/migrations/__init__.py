"""Schema migrations, run by `autoglm db upgrade` and at the start of `autoglm up`."""
