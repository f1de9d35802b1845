"""The families of theorems, one module or a few each."""
