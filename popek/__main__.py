"""`python -m popek` is `popek`."""

import sys

from popek.main import main

sys.exit(main())
