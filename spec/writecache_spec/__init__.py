"""The reference: what dm-writecache does, as pure functions of an immutable state."""
