// SPDX-License-Identifier: Apache-2.0
//
// What stands below the state directory, beside the journal.
#pragma once

#define DK_KEY_FILE           "device.pem"    // the device's private key
#define DK_NEW_KEY_FILE       "device.new.pem" // the next private key, while the key is being changed
#define DK_COLLECTOR_KEY_FILE "collector.jwk" // the collector's public key, learnt at enrolment
#define DK_KEYS_FOLDER        "keys"          // public keys of before and of tokens, each as kTHUMBPRINT.jwk
#define DK_UNSEALED_FOLDER    "unsealed"      // what could not be sealed; only a run may write there
#define DK_UNSEALED_FILE      "record.json"   // there: the payload of the next record
