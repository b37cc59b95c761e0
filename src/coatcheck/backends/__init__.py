"""Storage technologies behind one contract."""
