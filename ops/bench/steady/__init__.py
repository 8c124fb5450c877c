"""The benchmark of steady rates: `python -m ops.bench.steady`."""
