"""An engine as a network block device: the server's side of the NBD protocol.

Fixed newstyle negotiation, simple and structured replies, one export, many connections.  Begin with
`server`; `protocol` has the numbers, `negotiation` and `connection` the two halves of what a client
and the server say to each other, `requests` what becomes of one request.

Source of the protocol: "The NBD protocol", doc/proto.md of the NetworkBlockDevice project.
"""

from writecache_impl.nbd.requests import Export
from writecache_impl.nbd.server import Server
from writecache_impl.nbd.sockets import listen_tcp, listen_unix

__all__ = ["Export", "Server", "listen_tcp", "listen_unix"]
