"""Benchmarks of the running stack (`make bench`). No file is named test_*, so nothing here runs as a test."""
