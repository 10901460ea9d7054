// SPDX-License-Identifier: Apache-2.0
//
// libpcap, which is loaded when packets are captured or a capture is read, and not before: most runs have no use for
// it, and it brings seven more libraries along.
#pragma once

#include <pcap/pcap.h>

// Its functions, by their names without "pcap_".
#define DK_PCAP_LIST(X)                                                                                                \
    X(activate)                                                                                                        \
    X(close)                                                                                                           \
    X(compile)                                                                                                         \
    X(create)                                                                                                          \
    X(datalink)                                                                                                        \
    X(datalink_val_to_name)                                                                                            \
    X(dispatch)                                                                                                        \
    X(fopen_offline_with_tstamp_precision)                                                                             \
    X(freecode)                                                                                                        \
    X(get_selectable_fd)                                                                                               \
    X(get_tstamp_precision)                                                                                            \
    X(geterr)                                                                                                          \
    X(next_ex)                                                                                                         \
    X(set_buffer_size)                                                                                                 \
    X(set_snaplen)                                                                                                     \
    X(set_timeout)                                                                                                     \
    X(set_tstamp_precision)                                                                                            \
    X(setfilter)                                                                                                       \
    X(setnonblock)                                                                                                     \
    X(snapshot)                                                                                                        \
    X(stats)

struct dk_pcap {
#define X(name) __typeof__(pcap_##name) *name;
    DK_PCAP_LIST(X)
#undef X
};

// Loads it the first time. NULL when the system has none, or a part of it is missing; it stays loaded.
const struct dk_pcap *dk_pcap_library(void);
