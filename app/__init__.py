"""Open-AutoGLM: a self-hosted batch inference service for language models."""

__version__ = "0.1.0"
