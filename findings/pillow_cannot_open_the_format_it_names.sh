#!/usr/bin/env bash
# Pillow saves a picture as MPO and calls it MPO when it opens it again, but fails when that very format is asked for. Seen on
# 2026-11-28 with Pillow 13.0.0 and Python 3.11.
#
# `Image.open(file, formats=[...])` takes the names that `image.format` and `Image.save` use; names are looked up in a table of
# openers. MPO (several JPEG pictures in one file, as some cameras and telephones write them) has no entry of its own there:
# such files are recognised on the way of another format. Asked for by name it ends in a bare `KeyError: 'MPO'`, and so does
# any list with MPO in it as soon as its turn comes, for a PNG file too, where "cannot identify image file" is the usual answer.
#
# Surprising because the name is one that Pillow itself gives and takes elsewhere, because unknown formats are otherwise told by
# UnidentifiedImageError, which callers catch, and because the order of the list decides whether an MPO file can be opened.
# Way round: leave MPO out of `formats`, and look at `image.format` after opening.
set -euo pipefail

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

python3 -m venv "$folder/env"
"$folder/env/bin/python" -m pip install --quiet --disable-pip-version-check pillow==13.0.0

cat >"$folder/ask.py" <<'PYTHON'
import io

from PIL import Image, UnidentifiedImageError

first, second = Image.new("L", (8, 8), 10), Image.new("L", (8, 8), 200)
mpo, png = io.BytesIO(), io.BytesIO()
first.save(mpo, "MPO", save_all=True, append_images=[second])
first.save(png, "PNG")


def opened(stream, formats):
    stream.seek(0)
    try:
        return Image.open(stream, formats=formats).format
    except (KeyError, UnidentifiedImageError) as error:
        return type(error).__name__


seen = [opened(mpo, None), opened(mpo, ["MPO"]), opened(png, ["BMP"]), opened(png, ["BMP", "MPO"])]
print("an MPO file is", seen[0], "· asked for as MPO:", seen[1])
print("a PNG file asked for as BMP:", seen[2], "· as BMP or MPO:", seen[3])
assert seen == ["MPO", "KeyError", "UnidentifiedImageError", "KeyError"], seen
PYTHON

"$folder/env/bin/python" "$folder/ask.py"
