"""What telebeat is measured and proven by on the real thing: `make bench`, or each module with `python -m`."""
