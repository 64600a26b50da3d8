"""`python -m chaos.cli` is `rushproof`."""

import sys

from chaos.cli import main

sys.exit(main())
