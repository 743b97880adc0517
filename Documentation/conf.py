# SPDX-License-Identifier: GPL-2.0-only
#
# make docs

import pathlib
import re

project = "pcpuref"
header = pathlib.Path(__file__).parent.parent / "pcpuref.h"
release = re.search(r'PCPUREF_VERSION "(.*)"', header.read_text())[1]
version = release
highlight_language = "none"
html_show_copyright = False
exclude_patterns = ["_build"]
# sphinx-build -b man
man_pages = [("quick-reference", "pcpuref", "per-CPU reference counts", "", 7)]
