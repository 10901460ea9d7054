// SPDX-License-Identifier: Apache-2.0
//
// SoftHSM with the troubles of real tokens: a PKCS#11 module that hands everything on to the one at $TOKEN_MODULE, but
//
//   TOKEN_TROUBLE=locked       the PIN is locked, which only the login says
//   TOKEN_TROUBLE=locked-flag  the PIN is locked, and the token says so
//   TOKEN_TROUBLE=final-try    the token says that the PIN has one try left
//   TOKEN_TROUBLE=wrong        a signature comes out wrong
//   TOKEN_TROUBLE=removed      the first signature is made; then the token is gone
//   TOKEN_TROUBLE=crash        the first signature is made; at the next one the module takes the process down
//
// Each login adds a line to the file $TOKEN_LOGINS.
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Of PKCS#11 v2.40: what is called here by its place in the list of functions (section 4.6, CK_FUNCTION_LIST).
enum { C_GET_TOKEN_INFO = 6, C_LOGIN = 18, C_SIGN = 43, FUNCTION_COUNT = 68 };
enum { CKR_DEVICE_REMOVED = 0x32, CKR_PIN_LOCKED = 0xa4, CKR_GENERAL_ERROR = 5 };
enum { FLAGS_AT = 96, CKF_USER_PIN_FINAL_TRY = 1 << 17, CKF_USER_PIN_LOCKED = 1 << 18 };

struct functions {
    unsigned char major, minor;
    void (*function[FUNCTION_COUNT])(void);
};

typedef unsigned long get_list(struct functions **out);
typedef unsigned long get_token_info(unsigned long slot, unsigned char *info);
typedef unsigned long login(unsigned long session, unsigned long user, unsigned char *pin, unsigned long pin_len);
typedef unsigned long sign(unsigned long session, unsigned char *data, unsigned long len, unsigned char *signature,
                           unsigned long *signature_len);

__attribute__((visibility("default"))) unsigned long C_GetFunctionList(struct functions **out);

static struct functions *real, changed;
static int signatures;

static int has_trouble(const char *name)
{
    const char *trouble = getenv("TOKEN_TROUBLE");

    return trouble != NULL && strcmp(trouble, name) == 0;
}

static unsigned long changed_get_token_info(unsigned long slot, unsigned char *info)
{
    unsigned long result = ((get_token_info *)real->function[C_GET_TOKEN_INFO])(slot, info), flags = 0;

    memcpy(&flags, info + FLAGS_AT, sizeof flags);
    if (has_trouble("locked-flag"))
        flags |= CKF_USER_PIN_LOCKED;
    if (has_trouble("final-try"))
        flags |= CKF_USER_PIN_FINAL_TRY;
    memcpy(info + FLAGS_AT, &flags, sizeof flags);
    return result;
}

static unsigned long changed_login(unsigned long session, unsigned long user, unsigned char *pin,
                                   unsigned long pin_len)
{
    const char *path = getenv("TOKEN_LOGINS");
    int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;

    if (fd >= 0) {
        (void)!write(fd, "login\n", 6);
        close(fd);
    }
    return has_trouble("locked") ? CKR_PIN_LOCKED
                                 : ((login *)real->function[C_LOGIN])(session, user, pin, pin_len);
}

static unsigned long changed_sign(unsigned long session, unsigned char *data, unsigned long len,
                                  unsigned char *signature, unsigned long *signature_len)
{
    bool gone = signature != NULL && signatures++ > 0;

    if (has_trouble("crash") && gone)
        raise(SIGKILL);
    if (has_trouble("removed") && gone)
        return CKR_DEVICE_REMOVED;

    unsigned long result = ((sign *)real->function[C_SIGN])(session, data, len, signature, signature_len);

    if (has_trouble("wrong") && result == 0 && signature != NULL)
        signature[*signature_len / 2 - 1] ^= 1;
    return result;
}

unsigned long C_GetFunctionList(struct functions **out)
{
    const char *path = getenv("TOKEN_MODULE");
    void *module = path != NULL ? dlopen(path, RTLD_NOW | RTLD_LOCAL) : NULL;
    void *symbol = module != NULL ? dlsym(module, "C_GetFunctionList") : NULL;
    get_list *function = NULL;

    memcpy(&function, &symbol, sizeof symbol);
    if (function == NULL || function(&real) != 0)
        return CKR_GENERAL_ERROR;
    changed = *real;
    changed.function[C_GET_TOKEN_INFO] = (void (*)(void))changed_get_token_info;
    changed.function[C_LOGIN] = (void (*)(void))changed_login;
    changed.function[C_SIGN] = (void (*)(void))changed_sign;
    *out = &changed;
    return 0;
}
