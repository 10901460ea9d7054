// SPDX-License-Identifier: Apache-2.0
#include "agent/record/signer.h"

#include "agent/base/buf.h"
#include "agent/record/seal.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { JWK_SIZE = 512, BEGINNING_MAX_BYTES = 512 };

// The caller's end.
struct signer {
    int fd;
    pid_t pid;
};

// What the signer says. Both ends are this program: its memory's form will do.
struct introduction {
    struct dk_fault fault; // err is DK_OK when it is good
    char jwk[JWK_SIZE];
    char told[DK_SIGNER_TOLD_MAX];
};
struct answer {
    struct dk_fault fault;
    uint8_t signature[DK_SIGNATURE_SIZE];
};

static bool send_all(int fd, const void *data, size_t len)
{
    for (const char *at = data; len > 0;) {
        ssize_t sent = send(fd, at, len, MSG_NOSIGNAL);

        if (sent < 0 && errno == EINTR)
            continue;
        if (sent <= 0)
            return false;
        at += sent;
        len -= (size_t)sent;
    }
    return true;
}

static bool receive_all(int fd, void *data, size_t len)
{
    for (char *at = data; len > 0;) {
        ssize_t got = recv(fd, at, len, 0);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        at += got;
        len -= (size_t)got;
    }
    return true;
}

// --- the other process ----------------------------------------------------------------------------------------------

static struct dk_key *introduce(int fd, const struct dk_signer_plan *plan)
{
    struct introduction introduction = {0};
    dk_auto_buf struct dk_buf jwk = dk_buf_make(JWK_SIZE - 1);
    dk_auto(key) struct dk_key *key = NULL;
    enum dk_err err = plan->get(plan->argument, introduction.told, &key, &introduction.fault);

    if (err == DK_OK) {
        err = dk_key_public_jwk(key, &jwk);
        if (err != DK_OK)
            err = dk_fail(&introduction.fault, err, "signer", NULL, "%s", dk_err_text(err));
    }
    // What was failed on the way, and mended, is no fault.
    introduction.fault.err = err;
    snprintf(introduction.jwk, sizeof introduction.jwk, "%s", dk_buf_text(&jwk));
    if (!send_all(fd, &introduction, sizeof introduction) || err != DK_OK)
        return NULL;

    struct dk_key *own = key;

    key = NULL;
    return own;
}

static bool serve_one(int fd, const struct dk_key *key, const struct dk_buf *beginning)
{
    dk_auto_buf struct dk_buf data = dk_buf_make(DK_JWS_MAX_BYTES);
    struct answer answer = {0};
    char part[4096];
    size_t len = 0;

    if (!receive_all(fd, &len, sizeof len) || len > DK_JWS_MAX_BYTES)
        return false;
    while (len > 0) {
        size_t now = len < sizeof part ? len : sizeof part;

        if (!receive_all(fd, part, now) || dk_buf_append(&data, part, now) != DK_OK)
            return false;
        len -= now;
    }
    if (data.len > beginning->len && memcmp(data.data, beginning->data, beginning->len) == 0)
        answer.fault.err = dk_key_sign(key, data.data, data.len, answer.signature, &answer.fault);
    else
        answer.fault.err = dk_fail(&answer.fault, DK_ERR_INTERNAL, "signer", NULL, "it does not sign this");
    return send_all(fd, &answer, sizeof answer);
}

static void be_signer(int fd, const struct dk_signer_plan *plan)
{
    const struct dk_sandbox nothing = {.network = false};
    dk_auto_buf struct dk_buf beginning = dk_buf_make(BEGINNING_MAX_BYTES);

    // Ctrl-C is for the other one, which may still have something to sign.
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    // No other process of this user reads its memory, and no core file gets it.
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);

    dk_auto(key) struct dk_key *key = introduce(fd, plan);

    if (key == NULL || plan->typ == NULL)
        return;
    (void)dk_sandbox_enter(plan->walls != NULL ? plan->walls : &nothing);
    // Found without a signature: each one costs a token time, and one of its key's uses.
    if (dk_jws_beginning(key, plan->typ, &beginning) == DK_OK)
        for (int64_t i = 0; (plan->max == 0 || i < plan->max) && serve_one(fd, key, &beginning); i++)
            continue;
}

// --- this process ---------------------------------------------------------------------------------------------------

static enum dk_err fail_gone(struct dk_fault *fault)
{
    return dk_fail(fault, DK_ERR_IO, "signer", NULL, "the process that signs has ended");
}

static enum dk_err sign(void *argument, const void *data, size_t len, uint8_t out[static DK_SIGNATURE_SIZE],
                        struct dk_fault *fault)
{
    const struct signer *signer = argument;
    struct answer answer;

    if (!send_all(signer->fd, &len, sizeof len) || !send_all(signer->fd, data, len) ||
        !receive_all(signer->fd, &answer, sizeof answer))
        return fail_gone(fault);
    if (answer.fault.err != DK_OK)
        return dk_fail(fault, answer.fault.err, answer.fault.where, answer.fault.todo, "%s", answer.fault.what);
    memcpy(out, answer.signature, DK_SIGNATURE_SIZE);
    return DK_OK;
}

static void end(void *argument)
{
    struct signer *signer = argument;

    if (signer == NULL)
        return;
    if (signer->fd >= 0)
        close(signer->fd);
    while (signer->pid > 0 && waitpid(signer->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    free(signer);
}

static void end_signer(struct signer **signer)
{
    end(*signer);
}

enum dk_err dk_signer_start(const struct dk_signer_plan *plan, struct dk_key **out, struct dk_fault *fault)
{
    __attribute__((cleanup(end_signer))) struct signer *signer = calloc(1, sizeof *signer);
    struct introduction told;
    int ends[2];

    if (signer == NULL)
        return dk_fail(fault, DK_ERR_MEMORY, "signer", NULL, "out of memory");
    signer->fd = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return dk_fail(fault, DK_ERR_IO, "signer", NULL, "no process can be started: %s", strerror(errno));
    signer->fd = ends[0];
    signer->pid = fork();
    if (signer->pid == 0) {
        close(ends[0]);
        be_signer(ends[1], plan);
        _exit(0);
    }
    close(ends[1]);
    if (signer->pid < 0)
        return dk_fail(fault, DK_ERR_IO, "signer", NULL, "no process can be started: %s", strerror(errno));
    if (!receive_all(signer->fd, &told, sizeof told))
        return fail_gone(fault);
    if (told.fault.err != DK_OK)
        return dk_fail(fault, told.fault.err, told.fault.where, told.fault.todo, "%s", told.fault.what);

    enum dk_err err = dk_key_read_public("signer", told.jwk, strlen(told.jwk), out, fault);

    if (err != DK_OK)
        return err;
    if (plan->told != NULL)
        memcpy(plan->told, told.told, plan->told_size);
    dk_key_keep_elsewhere(*out, &(struct dk_key_keeper){signer, sign, end});
    signer = NULL;
    return DK_OK;
}

enum dk_err dk_signer_get_file(const void *argument, void *told, struct dk_key **out, struct dk_fault *fault)
{
    (void)told;
    return dk_key_read_private(argument, out, fault);
}
