"""`python -m matchloss` is the command `matchloss`."""

import sys

from matchloss.cli import main

sys.exit(main())
