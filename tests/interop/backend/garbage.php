<?php
// SPDX-License-Identifier: Apache-2.0
// What LibreSpeed's garbage.php answers: ckSize MiB of random bytes, chunked.
$mib = min(max((int)($_GET['ckSize'] ?? 4), 1), 1024);
$block = random_bytes(1 << 20);
header('Content-Type: application/octet-stream');
header('Cache-Control: no-store');
while ($mib-- > 0) {
    echo $block;
    flush();
}
