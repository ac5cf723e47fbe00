"""The Debian packages whose text is trained on."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass


@dataclass(frozen=True)
class Package:
    """A Debian package whose text is trained on. `pages` are glob patterns inside it."""

    name: str
    version: str
    sha256: str
    licence: str
    pages: tuple
    limit: int  # pairs taken from it at most, so that no one manual sets the tone


PACKAGES = (
    Package(
        "anarchism",
        "15.3-3",
        "cf21c10948b00e923c62eb31c39a3390413fa26c5ee0e3b925feb0ec7fe42948",
        "GPL-2+",
        ("**/*.html",),
        40_000,
    ),
    Package(
        "debian-edu-doc-en",
        "2.12.23~deb12u1",
        "0a985aebd07dd69ea1d22c767c410fbca429e7c9fa378024bcaf4fedeb09506a",
        "GPL-2+",
        ("**/*.html",),
        5_000,
    ),
    Package(
        "debian-faq",
        "11.1",
        "427426e0cfa6888622fc1d72631071cb4b5a1f86ccde722e7820bcef284de5d0",
        "GPL-2+",
        ("**/*.en.html",),
        5_000,
    ),
    Package(
        "debian-handbook",
        "11.20220922",
        "3d5dbeac1f1afc9c094eab9d0f701f6ecff99c4927d5a4794cf6c85678134faa",
        "GPL-2+ or CC-BY-SA-3.0",
        ("**/en-US/*.html",),
        20_000,
    ),
    Package(
        "debian-history",
        "2.28",
        "ae364cdfd075bf6a08ca8f5105b44db7093e3b201c95d3b70a863b8849c6a082",
        "GPL-2+",
        ("**/*.en.html",),
        5_000,
    ),
    Package(
        "debian-policy",
        "4.6.2.0",
        "ef9d01b625c3b87c3a845c2cd1b66f1a16e9240b2b9e5bee53472a00e8457a39",
        "GPL-2+",
        ("**/policy.html/*.html",),
        8_000,
    ),
    Package(
        "debian-reference-en",
        "2.100",
        "9f31d3a17df505de09689ca255512ea58c1fc47c59bb1b0c7bf1c23362e9743f",
        "GPL-2+",
        ("**/*.en.html",),
        8_000,
    ),
    Package(
        "developers-reference",
        "12.18",
        "0dba82f6fa16e373f2a84ad07e7971aa9264ad2e7d2ae46b37edbc9c5fd57e2e",
        "GPL-2+",
        ("**/*.html",),
        8_000,
    ),
    Package(
        "dict-foldoc",
        "20230119-1",
        "745cbedb55c2da609cc88ee0284e9d11a67a11ae3709daf7bad0e895ac3294c3",
        "GFDL-1.1+",
        ("usr/share/dictd/foldoc.index",),
        15_000,
    ),
    Package(
        "dict-gcide",
        "0.48.5+nmu2",
        "7b0af5cfde3cbdef5e9d6e78f92ec335ced7c2790f37a40f49bebc6f7347ac0f",
        "GPL-2+",
        ("usr/share/dictd/gcide.index",),
        10_000,
    ),
    Package(
        "freedombox-doc-en",
        "23.6.2+deb12u2",
        "43355f02b80633594a5455f353614ee9b035258b895f933d95e9143b7a88506a",
        "CC-BY-SA-4.0",
        ("**/en/**/*.html",),
        8_000,
    ),
    Package(
        "gimp-help-en",
        "2.10.34-2",
        "a2deec76763aaf2fcdd197bac0736cdcb0770ba993d48d233329e1c92b0bfe36",
        "GFDL-1.2+",
        ("**/help/en/*.html",),
        20_000,
    ),
    Package(
        "git-doc",
        "1:2.39.5-0+deb12u3",
        "3c89668a11053a6bafade3de1f611f4613db31e082af63f43d8c5b69ad8795ec",
        "GPL-2",
        ("**/*.html",),
        6_000,
    ),
    Package(
        "gnome-user-docs",
        "43.0-2",
        "0d635a840747958ca84da778b40d341f1155603851f922c9a171f5a181d6a39f",
        "CC-BY-SA-3.0",
        ("**/C/**/*.page",),
        20_000,
    ),
    Package(
        "gnucash-docs",
        "4.13-1",
        "09979baf0ff8ddc1f9c39320c2c38ff606d6f4656e04742ff2dc51f2d562996f",
        "GFDL-1.1+ without invariant sections",
        ("**/*-en/*.html",),
        20_000,
    ),
    Package(
        "installation-guide-amd64",
        "20230508+deb12u1",
        "812c43e1dc906daf671e3efe953dc023205c238e5bd5a3021ce4ca142793573a",
        "GPL-2+",
        ("**/en/*.html",),
        8_000,
    ),
    Package(
        "libreoffice-help-en-us",
        "4:7.4.7-1+deb12u14",
        "8faa840285734d6cfe1ed25537b48f07e74bd6412e3917bf8e5f8a653f7b3712",
        "MPL-2.0",
        ("**/*.html",),
        20_000,
    ),
    Package(
        "postgresql-doc-15",
        "15.20-0+deb12u1",
        "4c44bf2c599f208b3f46454a6cf7a72e25ec46ff74d37b59dd31ad76b00eebb7",
        "PostgreSQL",
        ("**/html/*.html",),
        12_000,
    ),
    Package(
        "wordnet-base",
        "1:3.0-37",
        "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
        "WordNet-3.0",
        ("usr/share/wordnet/data.*",),
        30_000,
    ),
)


# Packages of definitions, options and functions rather than sentences.
TERSE = ("wordnet-base", "dict-", "postgresql-doc", "git-doc")


def fetch(work):
    """Downloads and unpacks PACKAGES under `work`; returns the folder that holds one folder each."""
    archives, unpacked = work / "packages", work / "unpacked"
    archives.mkdir(parents=True, exist_ok=True)
    unpacked.mkdir(exist_ok=True)
    for package in PACKAGES:
        target = unpacked / package.name
        if target.exists():
            continue
        found = sorted(archives.glob(f"{package.name}_*.deb"))
        if not found:
            command = ["apt-get", "download", f"{package.name}={package.version}"]
            if subprocess.run(command, cwd=archives).returncode != 0:
                sys.exit(
                    f"make.py: `{' '.join(command)}` failed; run `apt-get update` "
                    "first, and if that is no help: this is Debian 12's version, which a later release or an "
                    "update may have replaced"
                )
            found = sorted(archives.glob(f"{package.name}_*.deb"))
        digest = hashlib.sha256(found[0].read_bytes()).hexdigest()
        if digest != package.sha256:
            sys.exit(f"make.py: {found[0]} has SHA-256 {digest}, not {package.sha256}")
        subprocess.run(["dpkg-deb", "-x", str(found[0]), str(target)], check=True)
    return unpacked
