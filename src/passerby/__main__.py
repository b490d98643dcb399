"""`python -m passerby` is `passerby`."""

import sys

from passerby.cli import main

sys.exit(main())
