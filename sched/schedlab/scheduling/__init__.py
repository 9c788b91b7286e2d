"""Schedulers and the seam behind which they are interchanged."""
