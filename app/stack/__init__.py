"""The whole service on one machine: which processes `autoglm up` runs, and who watches them."""
