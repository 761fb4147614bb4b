/* SPDX-License-Identifier: Apache-2.0 */
/* Checking a transparency log, a hub's or a copy of its files. Needs no key of the hub. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/digest.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/audit.h"
#include "cli/client.h"
#include "runtime/log_verify.h"

#define YEAR_10000_S UINT64_C(253402300800)

/* A file that the user named; false after a message. */
static bool read_named(const char *what, const char *path, struct buf *out)
{
    struct err err = {0};
    int rc = fs_read(path, out, &err);
    if (rc != 0)
        fprintf(stderr, "busbar: %s: %s\n", what, err.msg[0] ? err.msg : err_text(rc));
    return rc == 0;
}

/* A key, or a file that has it in a line. */
static int read_key(const char *option, const char *given, struct note_key *key, enum note_type type)
{
    struct buf text;
    buf_init(&text, 4096);
    if (strchr(given, '+') && !fs_exists(given))
        buf_add_text(&text, given);
    else if (!read_named(option, given, &text))
        return CLI_FAILED;
    while (text.len > 0 && text.data[text.len - 1] == '\n')
        text.len--;
    int rc = note_key_parse(digest_sha256, key, text.data ? text.data : "", text.len);
    buf_fini(&text);
    if (rc == 0 && key->type == type)
        return CLI_OK;
    fprintf(stderr, "busbar: %s: not the key of a %s, NAME+ID+KEY\n", option,
            type == NOTE_ED25519 ? "log" : "witness (cosignature/v1)");
    return CLI_USAGE;
}

int audit_key(const char *given, struct note_key *key)
{
    return read_key("--key", given, key, NOTE_ED25519);
}

int audit_witnesses(const struct cli *cli, struct audit_witnesses *out)
{
    uint32_t quorum = 0;
    *out = (struct audit_witnesses){.n = 0};
    for (int i = 0; i < cli->noptions; i++) {
        if (strcmp(cli->options[i].name, "witness") != 0)
            continue;
        if (out->n == WITNESSES_MAX) {
            fprintf(stderr, "busbar: --witness: at most %d\n", WITNESSES_MAX);
            return CLI_USAGE;
        }
        struct note_key *key = &out->keys[out->n];
        int rc = read_key("--witness", cli->options[i].value, key, NOTE_COSIGNATURE);
        if (rc != CLI_OK)
            return rc;
        /* What is signed has no name in it: one key under two names is one witness. */
        for (unsigned k = 0; k < out->n; k++) {
            if (memcmp(out->keys[k].key, key->key, sizeof key->key) == 0) {
                fprintf(stderr, "busbar: --witness: %s is there twice\n", key->name);
                return CLI_USAGE;
            }
        }
        out->n++;
    }
    int rc = cli_count(cli, "quorum", &quorum);
    if (rc != CLI_OK)
        return rc;
    if (cli_option(cli, "quorum") && (quorum == 0 || quorum > out->n)) {
        fprintf(stderr, "busbar: --quorum: from 1 to as many as --witness names\n");
        return CLI_USAGE;
    }
    out->quorum = quorum ? quorum : out->n;
    return CLI_OK;
}

/* A checkpoint that the user kept, and so trusts: no signature is looked at. */
static int read_kept(const char *path, struct checkpoint *kept)
{
    struct buf text;
    struct note note;
    buf_init(&text, 65536);
    if (!read_named("--checkpoint", path, &text))
        return CLI_FAILED;
    int rc = note_parse(&note, text.data ? text.data : "", text.len);
    if (rc == 0)
        rc = checkpoint_parse(kept, note.text, note.text_len);
    buf_fini(&text);
    if (rc != 0)
        fprintf(stderr, "busbar: --checkpoint: %s is no checkpoint\n", path);
    return rc == 0 ? CLI_OK : CLI_USAGE;
}

static void tell(void *ctx, uint64_t leaves, uint64_t size)
{
    int *last = ctx;
    int percent = size ? (int)(leaves * 100 / size) : 100;
    if (percent == *last)
        return;
    *last = percent;
    fprintf(stderr, "\r%llu of %llu leaves%s", (unsigned long long)leaves, (unsigned long long)size,
            leaves == size ? "\n" : "");
}

static int print_found(const struct cli *cli, const struct log_verify *config, const struct log_found *found,
                       int rc, const struct err *err)
{
    static const struct column fields[] = {{"result", "/result"},
                                           {"log", "/log"},
                                           {"leaves", "/leaves"},
                                           {"tiles", "/tiles"},
                                           {"root", "/root"},
                                           {"from", "/from"},
                                           {"to", "/to"},
                                           {"signature", "/signature"},
                                           {"kept checkpoint", "/kept"},
                                           {"witnesses", "/witnesses"},
                                           {"finding", "/finding"}};
    char root[BASE64_LEN(MERKLE_HASH_LEN) + 1], from[25] = "", to[25] = "", oldest[25] = "";
    struct buf out;
    base64_encode(root, found->point.root.b, MERKLE_HASH_LEN);
    if (found->leaves > 0) {
        clock_format(from, found->first_ms);
        clock_format(to, found->last_ms);
    }
    if (found->cosigned > 0 && found->oldest_s < YEAR_10000_S)
        clock_format(oldest, (int64_t)found->oldest_s * 1000);
    buf_init(&out, 65536);
    buf_addf(&out, "{\"result\":\"%s\",\"log\":", rc == 0 ? "holds" : "does not hold");
    buf_add_json(&out, found->point.origin, strlen(found->point.origin));
    buf_addf(&out, ",\"leaves\":%llu,\"tiles\":%llu,\"root\":\"%s\",\"from\":\"%s\",\"to\":\"%s\"",
             (unsigned long long)found->leaves, (unsigned long long)found->tiles, root, from, to);
    buf_addf(&out, ",\"signature\":\"%s\",\"kept\":\"%s\",",
             config->key ? (rc == 0 ? "holds" : "see the finding") : "not checked: no --key",
             config->kept ? (rc == 0 ? "is extended" : "see the finding") : "none was given");
    buf_addf(&out, "\"cosigned\":%u,\"cosigned_oldest\":\"%s\",\"witnesses\":\"", found->cosigned, oldest);
    if (config->nwitnesses > 0)
        buf_addf(&out, "%u of %u cosigned, %u needed\",\"finding\":", found->cosigned, config->nwitnesses,
                 config->quorum);
    else
        buf_add_text(&out, "none was named\",\"finding\":");
    buf_add_json(&out, err->msg, strlen(err->msg));
    buf_add_char(&out, '}');
    yyjson_doc *doc = yyjson_read(out.data, out.len, 0);
    int status = doc ? print_object(cli, doc, fields, 11 - (rc == 0)) : CLI_FAILED;
    yyjson_doc_free(doc);
    buf_fini(&out);
    return status;
}

static int keep(const char *path, const struct log_found *found)
{
    struct err err = {0};
    if (!path || fs_write_atomic(path, found->note.data, found->note.len, 0644, &err) == 0)
        return CLI_OK;
    fprintf(stderr, "busbar: --keep: %s\n", err.msg);
    return CLI_FAILED;
}

/* Checks it and tells what was found. */
static int verify(const struct cli *cli, struct log_verify *config)
{
    struct log_found found;
    struct err err = {0};
    int last = -1;
    if (isatty(STDERR_FILENO)) {
        config->progress = tell;
        config->ctx = &last;
    }
    int rc = log_verify(config, &found, &err);
    int status = CLI_FAILED;
    if (rc == 0 || rc == ERR_CORRUPT) {
        status = print_found(cli, config, &found, rc, &err);
        if (rc == ERR_CORRUPT)
            fprintf(stderr, "busbar: the log does not hold: %s\n", err.msg);
    } else {
        fprintf(stderr, "busbar: %s\n", err.msg[0] ? err.msg : err_text(rc));
    }
    if (rc == 0 && status == CLI_OK)
        status = keep(cli_option(cli, "keep"), &found);
    buf_fini(&found.note);
    return rc == 0 ? status : audit_status(rc);
}

int cli_audit_verify(const struct cli *cli)
{
    const char *key_text = cli_option(cli, "key"), *kept_path = cli_option(cli, "checkpoint");
    struct log_verify config = {0};
    struct audit_log log;
    struct note_key key;
    struct checkpoint kept;
    static struct audit_witnesses witnesses;
    int rc = audit_witnesses(cli, &witnesses);
    config.witnesses = witnesses.keys;
    config.nwitnesses = witnesses.n;
    config.quorum = witnesses.quorum;
    if (rc == CLI_OK && key_text && (rc = audit_key(key_text, &key)) == CLI_OK)
        config.key = &key;
    if (rc == CLI_OK && witnesses.n > 0 && !key_text) {
        fprintf(stderr, "busbar: --witness needs the log's key as well, --key VKEY\n");
        rc = CLI_USAGE;
    }
    if (rc == CLI_OK && kept_path && (rc = read_kept(kept_path, &kept)) == CLI_OK)
        config.kept = &kept;
    if (rc != CLI_OK)
        return rc;
    rc = audit_open(&log, cli, cli->nargs > 0 ? cli->args[0] : cli->hub);
    if (rc != CLI_OK)
        return rc;
    config.source = log.source;
    rc = verify(cli, &config);
    audit_close(&log);
    return rc;
}
