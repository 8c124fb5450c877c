"""One file per service: each turns an alert into a call and an answer into an outcome, and nothing else."""
