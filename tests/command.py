"""The command as a user types it, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def run_lavx(
    *arguments: str, folder: Path, environment: Mapping[str, str], timeout: float = 300
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "lavx", *arguments],
        capture_output=True,
        text=True,
        cwd=folder,
        env=environment,
        timeout=timeout,
    )
