"""`python -m writecache_docs FOLDER`: the source of the site."""

import sys

from writecache_docs.site import main

sys.exit(main(sys.argv[1:]))
