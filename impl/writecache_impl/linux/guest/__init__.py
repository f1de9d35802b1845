"""The guest's only process: plays operations on a dm-writecache device and tells what it saw.

Runs as PID 1 inside a user-mode Linux with nothing of this package but itself and the standard
library, and does by hand what insmod, mknod and dmsetup would do: forking is the dearest thing one
can do in user mode. `kernel` mounts and loads modules, `devicemapper` speaks the ioctls, `disks`
holds the target's two disks, `player` plays operations and waits until they have settled,
`serve` talks to the host.
"""
