"""What runs: the Linux harness and the command line."""
