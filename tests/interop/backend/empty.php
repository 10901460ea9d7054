<?php
// SPDX-License-Identifier: Apache-2.0
// Reads and forgets; what it read is counted in a file beside it, for the test to compare.
$read = 0;
if ($_SERVER['REQUEST_METHOD'] === 'POST') {
    $body = fopen('php://input', 'rb');
    while (!feof($body)) {
        $read += strlen(fread($body, 1 << 16));
    }
    file_put_contents(getenv('DOKIEM_COUNT'), "$read\n", FILE_APPEND | LOCK_EX);
}
header('Cache-Control: no-store');
