// SPDX-License-Identifier: Apache-2.0
//
// One captured frame as a value: from the link layer to the TCP options. Nothing behind the captured bytes is read.
// RFC 791, 8200 (IP), 9293 (TCP), 7323 (timestamps, window scale), 2018 (SACK), 768 (UDP), 2516 (PPPoE), IEEE 802.1Q.
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// What a frame begins with.
enum dk_link_layer {
    DK_LINK_ETHERNET, // also Wi-Fi as the kernel shows it; with VLAN tags and PPPoE sessions
    DK_LINK_COOKED,   // Linux "any" (SLL), 16 bytes
    DK_LINK_COOKED2,  // Linux "any" (SLL2), 20 bytes
    DK_LINK_RAW,      // an IP packet, as on wwan and tun
    DK_LINK_LOOPBACK, // BSD: 4 bytes of address family, in either byte order
};

// The link layer that libpcap's number (pcap_datalink(), or LINKTYPE_ of a file) names. False when it is none of these.
bool dk_link_layer_find(int number, enum dk_link_layer *out);

// What a frame turned out to be. Each frame is exactly one, so that counts close.
enum dk_packet_kind {
    DK_PACKET_NOT_IP,
    DK_PACKET_FRAGMENT, // of an IP packet: the IP header alone is believed
    DK_PACKET_TCP,
    DK_PACKET_UDP,
    DK_PACKET_OTHER_IP,
    DK_PACKET_TRUNCATED, // the capture ends before the headers do
    DK_PACKET_MALFORMED, // lengths or versions that contradict each other
    DK_PACKET_KINDS,
};

enum { DK_TCP_FIN = 1, DK_TCP_SYN = 2, DK_TCP_RST = 4, DK_TCP_ACK = 16, DK_TCP_ECE = 64, DK_TCP_CWR = 128 };
enum { DK_SACK_BLOCKS_MAX = 4, DK_IP_SIZE = 16 };
enum dk_ecn { DK_ECN_NONE, DK_ECN_ECT1, DK_ECN_ECT0, DK_ECN_CE }; // RFC 3168, the two bits

struct dk_frame {
    const uint8_t *bytes;  // borrowed
    size_t captured_bytes; // of them
    int64_t wire_bytes;    // length on the wire, at least captured_bytes
    int64_t time_ns;       // since 1970
};

struct dk_packet {
    int64_t time_ns;
    size_t header_bytes; // of the captured bytes, those that were read: all headers, and nothing behind them
    int64_t ip_bytes; // headers and all, as the IP header says; 0 for a frame without one that could be read
    uint8_t ip_version;              // 4 or 6; 0 when there is none
    enum dk_ecn ecn;
    uint8_t protocol;                // the last header's number (IANA)
    uint8_t source[DK_IP_SIZE];      // IPv4 in the first 4 bytes, the rest 0
    uint8_t destination[DK_IP_SIZE];
    // TCP and UDP
    uint16_t source_port, destination_port;
    int64_t payload_bytes;
    // TCP
    uint32_t sequence, acknowledgement;
    uint8_t flags;
    uint16_t window; // as sent, not scaled
    bool has_timestamps;
    uint32_t timestamp, timestamp_echo;
    uint16_t mss_bytes;   // 0 without the option
    int8_t window_shift;  // -1 without the option
    bool sack_permitted;
    uint8_t sack_count;
    uint32_t sack_left[DK_SACK_BLOCKS_MAX], sack_right[DK_SACK_BLOCKS_MAX];
};

// Reads a frame. *out is always set; what the kind does not promise is 0.
enum dk_packet_kind dk_packet_read(enum dk_link_layer link, const struct dk_frame *frame, struct dk_packet *out);
