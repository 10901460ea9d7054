#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# embed.sh OUTPUT FILE.ini ... : writes the files' bytes as the C table that config/embedded.h declares.
set -eu
output=$1
shift
{
    echo '#include "config/embedded.h"'
    number=0
    for file; do
        echo "static const unsigned char file_$number[] = {"
        od -An -v -tx1 "$file" | sed 's/ \(..\)/0x\1,/g'
        echo '};'
        number=$((number + 1))
    done
    echo 'const struct dk_embedded dk_embedded_profiles[] = {'
    number=0
    for file; do
        echo "    {\"$(basename "$file" .ini)\", file_$number, sizeof file_$number},"
        number=$((number + 1))
    done
    echo '    {0},'
    echo '};'
} >"$output"
