"""What every test needs: no hub, no warnings bar, the folder of tiny models importable."""

from __future__ import annotations

import os

from hypothesis import settings

# A test on a busy machine is not wrong for being slow.
settings.register_profile("tarazu", deadline=None)
settings.load_profile("tarazu")

# A test that reached for the Hub would pass or fail with the network; none may.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.pop("TARAZU_DATA", None)
