"""What an operator touches: the command line, the demo, the benchmarks, deployment and documentation."""
