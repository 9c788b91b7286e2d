"""Solvers: optimal placements with proofs, and bounds for those that can't be proven."""
