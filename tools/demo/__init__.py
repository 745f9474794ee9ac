"""The demonstration model's data generator, training and evaluation."""
