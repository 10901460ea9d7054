// SPDX-License-Identifier: Apache-2.0
//
// The language of the texts for people (gettext; agent/base/message.h marks them).
#pragma once

#include <stdbool.h>

// Binds the catalogue "dokiem" in `directory` (DIRECTORY/vi/LC_MESSAGES/dokiem.mo); when it is not there, that of the
// build folder that the program runs from. Without one for the user's language, or when dokiem was built without NLS,
// texts stay English. Call setlocale() first: a locale that the system lacks is stood in for by C.UTF-8 and LANGUAGE.
void dk_language_bind(const char *directory);

// Makes the texts Vietnamese ("vi") or English ("en"), whatever the locale; call it after dk_language_bind() and before
// the first text. False, with nothing changed, for another language, or when the catalogue is not there.
bool dk_language_use(const char *language);

// From now on what the system says of an error (strerror) is English: a program that signs such words calls this.
void dk_language_system_in_english(void);

// The language that the texts are in: "en", or that of the catalogue ("vi"), as an HTML `lang`.
const char *dk_language(void);
