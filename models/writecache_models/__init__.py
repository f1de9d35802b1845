"""What is around the reference: the contract, crashes, the kernel, and machines that search."""
