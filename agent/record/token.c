// SPDX-License-Identifier: Apache-2.0
#include "agent/record/token.h"

#include "agent/base/buf.h"
#include "agent/base/file.h"
#include "agent/base/message.h"
#include "agent/base/parse.h"
#include "agent/base/pkcs11_uri.h"

#include <dlfcn.h>
#include <libp11.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/obj_mac.h>
#include <openssl/pem.h>
#include <openssl/ui.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { PIN_MAX_BYTES = 255, NAME_SIZE = 256, LIST_SIZE = 300 };

// The return values of PKCS#11 (v2.40, section 5.1) that have an advice of their own.
enum { CKR_PIN_INCORRECT = 0xa0, CKR_PIN_INVALID, CKR_PIN_LEN_RANGE, CKR_PIN_EXPIRED, CKR_PIN_LOCKED };

#define LIBP11 "libp11.so.3"

// What is used of libp11.
#define FUNCTIONS(X)                                                                                         \
    X(CTX_new) X(CTX_load) X(CTX_unload) X(CTX_free) X(set_ui_method) X(enumerate_slots)                     \
    X(release_all_slots) X(login) X(enumerate_keys) X(get_private_key)

struct libp11 {
#define X(name) __typeof__(PKCS11_##name) *name;
    FUNCTIONS(X)
#undef X
    __typeof__(ERR_get_CKR_code) *error_library;
};

// What signs: of a key that is open.
struct token {
    struct libp11 p11;
    PKCS11_CTX *context;
    bool loaded;
    PKCS11_SLOT *slots;
    unsigned slot_count;
    EVP_PKEY *pkey;
    UI_METHOD *asked;
    struct dk_buf pin;    // some keys want it again for each signature
    char name[NAME_SIZE]; // the URI without its query, for faults
};

static void wipe(struct dk_buf *pin)
{
    if (pin->data != NULL)
        OPENSSL_cleanse(pin->data, pin->capacity);
    dk_buf_free(pin);
}

static void token_free(struct token *token)
{
    if (token == NULL)
        return;
    EVP_PKEY_free(token->pkey);
    if (token->slots != NULL)
        token->p11.release_all_slots(token->context, token->slots, token->slot_count);
    if (token->loaded)
        token->p11.CTX_unload(token->context);
    if (token->context != NULL)
        token->p11.CTX_free(token->context);
    UI_destroy_method(token->asked);
    wipe(&token->pin);
    ERR_clear_error();
    free(token);
}
DK_DEFINE_FREE(token, struct token, token_free)

static void free_bio(BIO **p)
{
    BIO_free(*p);
}
static void free_digest_context(EVP_MD_CTX **p)
{
    EVP_MD_CTX_free(*p);
}
static void close_module(void **p)
{
    if (*p != NULL)
        dlclose(*p);
}
#define auto_with(function) __attribute__((cleanup(function)))

// --- faults ---------------------------------------------------------------------------------------------------------

// What the token said last: its return value (CKR_), or 0, and its words. Empties OpenSSL's queue of errors.
static unsigned long last_error(const struct token *token, char words[static NAME_SIZE])
{
    unsigned long error = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(error);
    bool of_token = error != 0 && ERR_GET_LIB(error) == token->p11.error_library();

    snprintf(words, NAME_SIZE, "%s", text != NULL ? text : "no reason given");
    ERR_clear_error();
    return of_token ? (unsigned long)ERR_GET_REASON(error) : 0;
}

static enum dk_err fail_token(const struct token *token, const char *action, struct dk_fault *fault)
{
    char words[NAME_SIZE];

    (void)last_error(token, words);
    return dk_fail(fault, DK_ERR_IO, token->name,
                   "see that the token is plugged in and that its own tools reach it, and try again", "%s: %s", action,
                   words);
}

// --- libp11 and the module ------------------------------------------------------------------------------------------

// It stays loaded: OpenSSL keeps pointers into it to the end of the process.
static enum dk_err load_libp11(struct libp11 *out, struct dk_fault *fault)
{
    void *library = dlopen(LIBP11, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE), *symbol = NULL;
    bool whole = library != NULL;

    // A pointer to a function is what POSIX says that a symbol can be; C has no cast for it.
#define X(name)                                                                                              \
    if (whole) {                                                                                             \
        symbol = dlsym(library, "PKCS11_" #name);                                                            \
        memcpy(&out->name, &symbol, sizeof symbol);                                                          \
        whole = symbol != NULL;                                                                              \
    }
    FUNCTIONS(X)
#undef X
    if (whole) {
        symbol = dlsym(library, "ERR_get_CKR_code");
        memcpy(&out->error_library, &symbol, sizeof symbol);
        whole = symbol != NULL;
    }
    return whole ? DK_OK
                 : dk_fail(fault, DK_ERR_CONFIG, LIBP11, "install libp11 (Debian: apt-get install libp11-3)",
                           "cannot be loaded: %s", dlerror());
}

// libp11 asks here for a PIN, and not on the terminal.
static int answer(UI *ui, UI_STRING *question)
{
    const struct token *token = UI_get0_user_data(ui);

    return token->pin.len > 0 && UI_set_result(ui, question, dk_buf_text(&token->pin)) == 0 ? 1 : 0;
}

static enum dk_err load_module(struct token *token, const char *path, struct dk_fault *fault)
{
    // libp11 would say what is wrong on stderr, and less of it.
    auto_with(close_module) void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (module == NULL)
        return dk_fail(fault, DK_ERR_CONFIG, path, "install the token's PKCS#11 module, or correct module-path",
                       "cannot be loaded: %s", dlerror());
    if (dlsym(module, "C_GetFunctionList") == NULL)
        return dk_fail(fault, DK_ERR_CONFIG, path, "correct module-path", "is not a PKCS#11 module");
    token->context = token->p11.CTX_new();
    token->asked = UI_create_method("dokiem");
    if (token->context == NULL || token->asked == NULL || UI_method_set_reader(token->asked, answer) != 0 ||
        token->p11.set_ui_method(token->context, token->asked, token) != 0)
        return dk_fail(fault, DK_ERR_MEMORY, path, NULL, "out of memory");
    if (token->p11.CTX_load(token->context, path) != 0)
        return fail_token(token, _("the module does not start"), fault);
    token->loaded = true;
    return DK_OK;
}

// --- the token ------------------------------------------------------------------------------------------------------

static bool fits(const char *asked, const char *found)
{
    return asked[0] == '\0' || (found != NULL && strcmp(asked, found) == 0);
}

// Appends a name to "a", "b" for a fault, as long as there is room.
static void list(char out[static LIST_SIZE], const char *name)
{
    size_t len = strlen(out);

    snprintf(out + len, LIST_SIZE - len, "%s\"%s\"", len > 0 ? ", " : "", name != NULL ? name : "");
}

static enum dk_err find_token(struct token *token, const struct dk_pkcs11_uri *uri, PKCS11_SLOT **out,
                              struct dk_fault *fault)
{
    char here[LIST_SIZE] = "";
    unsigned count = 0;

    if (token->p11.enumerate_slots(token->context, &token->slots, &token->slot_count) != 0)
        return fail_token(token, _("the module does not say which tokens are there"), fault);
    for (unsigned i = 0; i < token->slot_count; i++) {
        const PKCS11_TOKEN *found = token->slots[i].token;

        if (found == NULL || !found->initialized)
            continue;
        list(here, found->label);
        if (!fits(uri->token, found->label) || !fits(uri->manufacturer, found->manufacturer) ||
            !fits(uri->model, found->model) || !fits(uri->serial, found->serialnr))
            continue;
        *out = &token->slots[i];
        count++;
    }
    if (count == 0)
        return dk_fail(fault, DK_ERR_NO_INPUT, token->name, "plug the token in, or correct the URI",
                       "the token is not there; there are: %s", here[0] != '\0' ? here : _("none"));
    return count == 1 ? DK_OK
                      : dk_fail(fault, DK_ERR_CONFIG, token->name, "add serial= of the one that is meant",
                                "%u tokens fit; there are: %s", count, here);
}

static enum dk_err read_pin(const char *path, struct dk_buf *pin, struct dk_fault *fault)
{
    struct stat status;

    if (stat(path, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 077) != 0)
        return dk_fail(fault, DK_ERR_PERMISSION, path, "chmod 600 it, and think whether it was copied",
                       "others than its owner may use the PIN (mode %04o; 0600 is allowed)",
                       (unsigned)status.st_mode & 07777U);

    struct dk_fault own = {0};
    enum dk_err err = dk_file_read(path, pin, &own);

    if (err != DK_OK)
        return dk_fail(fault, err, own.where, "write the PIN into it, and nothing else", "%s", own.what);
    while (pin->len > 0 && (pin->data[pin->len - 1] == '\n' || pin->data[pin->len - 1] == '\r'))
        pin->data[--pin->len] = '\0';
    if (pin->len == 0 || !dk_text_is_clean(pin->data, pin->len))
        return dk_fail(fault, DK_ERR_DATA, path, "write the PIN into it, and nothing else",
                       "is not one line of text with the PIN");
    return DK_OK;
}

static enum dk_err fail_login(const struct token *token, const struct dk_pkcs11_uri *uri, struct dk_fault *fault)
{
    char words[NAME_SIZE];
    unsigned long said = last_error(token, words);

    if (said == CKR_PIN_LOCKED)
        return dk_fail(fault, DK_ERR_PERMISSION, token->name, "unlock it with the token's own tools",
                       "the PIN is locked");
    if (said == CKR_PIN_INCORRECT || said == CKR_PIN_INVALID || said == CKR_PIN_LEN_RANGE || said == CKR_PIN_EXPIRED)
        return dk_fail(fault, DK_ERR_PERMISSION, uri->pin_path,
                       "correct the PIN in this file; the token locks itself after some wrong ones",
                       "the token refuses the PIN: %s", words);
    return dk_fail(fault, DK_ERR_IO, token->name,
                   "see that the token is plugged in and that its own tools reach it, and try again",
                   "no login can be had: %s", words);
}

static enum dk_err log_in(struct token *token, const struct dk_pkcs11_uri *uri, PKCS11_SLOT *slot,
                          struct dk_fault *fault)
{
    if (!slot->token->loginRequired)
        return DK_OK;
    if (slot->token->userPinLocked)
        return dk_fail(fault, DK_ERR_PERMISSION, token->name, "unlock it with the token's own tools",
                       "the PIN is locked");
    if (slot->token->userPinFinalTry)
        return dk_fail(fault, DK_ERR_PERMISSION, token->name,
                       "see that the PIN file is right, and log in once with the token's own tools",
                       "the PIN has one try left; it is not used, lest the token be locked");
    if (uri->pin_path[0] == '\0')
        return dk_fail(fault, DK_ERR_CONFIG, token->name,
                       "write the PIN into a file of mode 0600, and add pin-source=file:/PATH to the URI",
                       "the token wants a PIN, and the URI names no pin-source");

    enum dk_err err = read_pin(uri->pin_path, &token->pin, fault);

    if (err != DK_OK)
        return err;
    ERR_clear_error();
    return token->p11.login(slot, 0, dk_buf_text(&token->pin)) == 0 ? DK_OK : fail_login(token, uri, fault);
}

// --- the key --------------------------------------------------------------------------------------------------------

static enum dk_err find_key(const struct token *token, const struct dk_pkcs11_uri *uri, const PKCS11_SLOT *slot,
                            PKCS11_KEY **out, struct dk_fault *fault)
{
    PKCS11_KEY *keys = NULL;
    char here[LIST_SIZE] = "";
    unsigned key_count = 0, count = 0;

    if (token->p11.enumerate_keys(slot->token, &keys, &key_count) != 0)
        return fail_token(token, _("the token does not say which keys it has"), fault);
    for (unsigned i = 0; i < key_count; i++) {
        list(here, keys[i].label);
        if (!fits(uri->object, keys[i].label) ||
            (uri->id_len > 0 && (keys[i].id_len != uri->id_len || memcmp(keys[i].id, uri->id, uri->id_len) != 0)))
            continue;
        *out = &keys[i];
        count++;
    }
    if (count == 0)
        return dk_fail(fault, DK_ERR_NO_INPUT, token->name, "correct object= and id=, or make the key",
                       "the token has no such private key; it has: %s", here[0] != '\0' ? here : _("none"));
    if (count > 1)
        return dk_fail(fault, DK_ERR_CONFIG, token->name, "name one by id= and object=",
                       "%u private keys fit; the token has: %s", count, here);
    return DK_OK;
}

static bool is_p256(const EVP_PKEY *pkey)
{
    char group[64] = "";

    return EVP_PKEY_is_a(pkey, "EC") == 1 &&
           EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) == 1 &&
           strcmp(group, SN_X9_62_prime256v1) == 0;
}

static enum dk_err sign(void *self, const void *data, size_t len, uint8_t out[static DK_SIGNATURE_SIZE],
                        struct dk_fault *fault)
{
    const struct token *token = self;
    uint8_t der[DK_SIGNATURE_DER_MAX];
    size_t der_len = sizeof der;
    auto_with(free_digest_context) EVP_MD_CTX *context = EVP_MD_CTX_new();

    if (context == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, token->name, NULL, "out of memory");
    ERR_clear_error();
    if (EVP_DigestSignInit_ex(context, NULL, "SHA256", NULL, NULL, token->pkey, NULL) != 1 ||
        EVP_DigestSign(context, der, &der_len, data, len) != 1)
        return fail_token(token, _("the token does not sign"), fault);
    return dk_signature_from_der(der, der_len, out, fault);
}

static void end(void *self)
{
    token_free(self);
}

// The public part of the token's key, as any other public key.
static enum dk_err read_public(const struct token *token, struct dk_key **out, struct dk_fault *fault)
{
    auto_with(free_bio) BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;

    if (!is_p256(token->pkey)) {
        ERR_clear_error();
        return dk_fail(fault, DK_ERR_DATA, token->name, "make one in the token, as docs/evidence.md has it",
                       "is not an ECDSA P-256 key");
    }
    if (bio == NULL || PEM_write_bio_PUBKEY(bio, token->pkey) != 1) {
        ERR_clear_error();
        return dk_fail(fault, DK_ERR_DATA, token->name, "put the public key into the token, with the same id",
                       "the token does not have the public part of the key");
    }

    long len = BIO_get_mem_data(bio, &text);

    return dk_key_read_public(token->name, text, (size_t)len, out, fault);
}

// A token whose key may not sign, or signs with another one, is of no use.
static enum dk_err try_key(const struct token *token, const struct dk_key *key, struct dk_fault *fault)
{
    static const char trial[] = "dokiem: a trial of the key";
    uint8_t signature[DK_SIGNATURE_SIZE];
    enum dk_err err = dk_key_sign(key, trial, sizeof trial, signature, fault);

    if (err != DK_OK || dk_key_verify(key, trial, sizeof trial, signature, NULL) == DK_OK)
        return err;
    return dk_fail(fault, DK_ERR_DATA, token->name, "correct the public key in the token",
                   "what the token signs does not fit the public key that it gives");
}

bool dk_token_built_in(void)
{
    return true;
}

enum dk_err dk_token_open(const char *uri, struct dk_key **out, struct dk_fault *fault)
{
    dk_auto(token) struct token *token = calloc(1, sizeof *token);
    dk_auto(key) struct dk_key *key = NULL;
    struct dk_pkcs11_uri asked;
    PKCS11_SLOT *slot = NULL;
    PKCS11_KEY *found = NULL;
    const char *wrong = dk_pkcs11_uri_read(uri, &asked);

    if (token == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "[device] key", NULL, "out of memory");
    if (wrong != NULL)
        return dk_fail(fault, DK_ERR_CONFIG, "[device] key", NULL, "the URI %s", _(wrong));
    token->pin = dk_buf_make(PIN_MAX_BYTES);
    snprintf(token->name, sizeof token->name, "%.*s", (int)strcspn(uri, "?"), uri);

    enum dk_err err = load_libp11(&token->p11, fault);

    if (err == DK_OK)
        err = load_module(token, asked.module_path, fault);
    if (err == DK_OK)
        err = find_token(token, &asked, &slot, fault);
    if (err == DK_OK)
        err = log_in(token, &asked, slot, fault);
    if (err == DK_OK)
        err = find_key(token, &asked, slot, &found, fault);
    if (err != DK_OK)
        return err;
    token->pkey = token->p11.get_private_key(found);
    if (token->pkey == NULL)
        return fail_token(token, _("the token does not give the key"), fault);
    err = read_public(token, &key, fault);
    if (err != DK_OK)
        return err;
    dk_key_keep_elsewhere(key, &(struct dk_key_keeper){token, sign, end});

    const struct token *kept = token;

    token = NULL;
    err = try_key(kept, key, fault);
    if (err == DK_OK) {
        *out = key;
        key = NULL;
    }
    return err;
}
