"""Make the virtual environment, also where the `venv` module lacks pip (as Debian ships it) or Python is externally managed."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys


def main(folder: str) -> int:
    """Make it by `venv`, else by `virtualenv`; otherwise say what to install."""
    if importlib.util.find_spec("venv") and importlib.util.find_spec("ensurepip"):
        return subprocess.call([sys.executable, "-m", "venv", folder])
    if importlib.util.find_spec("virtualenv"):
        return subprocess.call([sys.executable, "-m", "virtualenv", "--quiet", folder])
    if shutil.which("uv"):
        return subprocess.call(["uv", "venv", "--quiet", "--seed", "--python", sys.executable, folder])
    sys.stderr.write(
        "rushproof: this Python has no venv module; install it (Debian: apt-get install python3-venv) or virtualenv\n"
    )
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
