"""Inference: turns token ids and sampling parameters into tokens. Knows no jobs, SQL, Celery."""
