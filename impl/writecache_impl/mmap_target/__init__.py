"""The engine as a target of `writecache conform`: played, crashed and killed, and judged."""
