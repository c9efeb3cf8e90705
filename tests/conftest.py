"""What every test needs: no hub, no warnings bar, the folder of tiny models importable."""

from __future__ import annotations

import os

# A test that reached for the Hub would pass or fail with the network; none may.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.pop("TARAZU_DATA", None)
