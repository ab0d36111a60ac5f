"""What the push plane costs, measured beside its peers: `python -m bench --help`."""
