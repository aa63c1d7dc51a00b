"""Fill the image's environment: the locked packages, then the project; the standard library only.

Two steps, so that a change of our own code repeats the second alone.
"""

import argparse
import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

TARGET = Path("/opt/evenhand")
# The same library without its windows, which need X11 and GL of the base image.
WINDOWS, PLAIN = "opencv-python", "opencv-python-headless"
LOCK, PROJECT = Path("requirements.lock"), Path("pyproject.toml")
# Of torch: headers for C++ extensions, which need a compiler; and tests of libraries. Of torch/bin,
# importing torch needs torch_shm_manager.
UNUSED = (
    "torch/include", "torch/test", "torch/bin/test_*", "torch/bin/protoc*", "torch/share",
    "pyarrow/include", "pyarrow/src",
    "pyarrow/tests", "pandas/tests", "numpy/**/tests", "scipy/**/tests", "sklearn/**/tests",
    "matplotlib/tests", "networkx/**/tests", "sympy/**/tests",
)  # fmt: skip


def requirements(project: Path, extras: list[str]) -> list[str]:
    """The project's requirements with those of some extras, as pyproject.toml writes them."""
    content = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    found = list(content["dependencies"])
    for extra in extras:
        if extra not in content["optional-dependencies"]:
            sys.exit(f"error: pyproject.toml has no extra {extra!r}")
        found += content["optional-dependencies"][extra]
    return found


def pip(words: list[str], wheels: Path, options: str) -> None:
    """Install into the environment, from the folder alone where it holds wheels."""
    sources = shlex.split(options)
    if any(wheels.glob("*.whl")):
        sources = ["--no-index", "--find-links", str(wheels)]
    command = [sys.executable, "-m", "pip", "--python", str(TARGET / "bin/python")]
    subprocess.run([*command, "install", "--quiet", *sources, *words], check=True)


def without_windows(lock: Path, wheels: Path, options: str) -> None:
    """Put the plain build of opencv, of the locked version, in place of the one with windows."""
    locked = re.search(rf"^{WINDOWS}==(\S+)$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if not locked or not list(TARGET.glob("lib/python3.*/site-packages/opencv_python-*")):
        return
    replace(WINDOWS, f"{PLAIN}=={locked[1]}", wheels, options)


def replace(old: str, new: str, wheels: Path, options: str) -> None:
    """Put one build of a library in place of another: in one folder they overwrite each other."""
    command = [sys.executable, "-m", "pip", "--python", str(TARGET / "bin/python")]
    subprocess.run([*command, "uninstall", "--quiet", "--yes", old], check=True)
    pip(["--no-deps", new], wheels, options)


def remove_unused(packages: Path) -> None:
    """Remove what nothing in the image can use."""
    for pattern in UNUSED:
        for path in list(packages.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def write_inventory() -> None:
    """List what is installed, as pip sees it, for whoever asks the image what it holds."""
    command = [sys.executable, "-m", "pip", "--python", str(TARGET / "bin/python"), "inspect"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    installed = [
        {"name": one["metadata"]["name"], "version": one["metadata"]["version"]}
        for one in json.loads(done.stdout)["installed"]
    ]
    installed.sort(key=lambda one: re.sub(r"[-_.]+", "-", one["name"]).lower())
    (TARGET / "packages.json").write_text(json.dumps(installed, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    """Run one of the two steps."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["packages", "project"])
    parser.add_argument("--extras", default="", help="extras of pyproject.toml, by spaces")
    parser.add_argument("--wheels", type=Path, required=True, help="folder; empty: use an index")
    parser.add_argument("--options", default="", help="pip's options about indexes")
    parser.add_argument("--onnxruntime-gpu", default="", help="its version; empty: the CPU's stays")
    args = parser.parse_args()
    if args.what == "packages":
        needed = requirements(PROJECT, args.extras.split())
        pip(["--constraint", str(LOCK), *needed], args.wheels, args.options)
        without_windows(LOCK, args.wheels, args.options)
        if args.onnxruntime_gpu:
            new = f"onnxruntime-gpu=={args.onnxruntime_gpu}"
            replace("onnxruntime", new, args.wheels, args.options)
        (packages,) = TARGET.glob("lib/python3.*/site-packages")
        remove_unused(packages)
    else:
        pip(["--no-deps", "."], args.wheels, args.options)
        write_inventory()


if __name__ == "__main__":
    main()
