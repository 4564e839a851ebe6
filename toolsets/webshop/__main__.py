"""Serves the shop on loopback, to shop by hand: `python -m deepagent.toolsets.webshop`."""

from __future__ import annotations

import argparse
import sys

from deepagent.toolsets.webshop.synthetic import synthetic_shop


def main() -> None:
    """Serve the shop of made-up products until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m deepagent.toolsets.webshop", description=__doc__)
    parser.add_argument("--port", type=int, default=3000, help="where on 127.0.0.1 (3000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed makes another shop")
    given = parser.parse_args()
    try:
        import uvicorn

        from deepagent.toolsets.webshop.site import site

        app = site(synthetic_shop(given.seed))
    except ImportError as error:
        sys.exit(f"error: the site needs {error.name}; pip install 'deepagent[benchmarks]'")
    sys.stderr.write(f"Shop at http://127.0.0.1:{given.port}/fixed_0 (fixed_1, fixed_2, ... are other goals)\n")
    uvicorn.run(app, host="127.0.0.1", port=given.port, log_level="warning")


if __name__ == "__main__":
    main()
