"""Input files of batches: their lines read, checked and, before anything is queued, judged."""
