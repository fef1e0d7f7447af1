"""The local stack: one supervisor for everything that `make run`, `make test` and `make bench` start."""
