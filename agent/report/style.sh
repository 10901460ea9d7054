#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# style.sh OUTPUT FILE.css: the style sheet without its comment and indents, as the C text that page.h declares.
set -eu
{
    echo '#include "agent/report/page.h"'
    echo 'const char dk_page_style[] = {'
    sed -e '/^\/\*/,/\*\/$/d' -e 's/^ *//' "$2" | od -An -v -td1 | sed 's/ *\([-0-9]\{1,\}\)/\1,/g'
    echo '0};'
} >"$1"
