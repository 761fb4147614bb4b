/* SPDX-License-Identifier: Apache-2.0 */
/* Receipts of the transparency log: fetched from the hub, checked with the log's key alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/digest.h"
#include "base/ed25519.h"
#include "base/fs.h"
#include "cli/audit.h"
#include "cli/request.h"
#include "tlog/checkpoint.h"
#include "tlog/leaf.h"
#include "tlog/proof.h"

#define FILE_BYTES_MAX ((size_t)64 << 20)

int cli_receipt_get(const struct cli *cli)
{
    struct request r;
    struct err err = {0};
    yyjson_doc *doc = NULL;
    const char *file = cli_option(cli, "out");
    request_begin(&r);
    request_path(&r, "/v1/receipts/", cli->args[0], "");
    int rc = client_call(cli, "GET", request_path_text(&r), NULL, &doc);
    request_end(&r);
    size_t len = 0;
    char *text =
        doc ? yyjson_write(doc, YYJSON_WRITE_PRETTY_TWO_SPACES | YYJSON_WRITE_NEWLINE_AT_END, &len) : NULL;
    if (rc == CLI_OK && !text)
        rc = CLI_FAILED;
    if (rc == CLI_OK && !file)
        fwrite(text, 1, len, stdout);
    else if (rc == CLI_OK && fs_write_atomic(file, text, len, 0644, &err) != 0) {
        fprintf(stderr, "busbar: --out: %s\n", err.msg);
        rc = CLI_FAILED;
    }
    free(text);
    yyjson_doc_free(doc);
    return rc;
}

/* ---- checking ---- */

/* False with words when something does not hold. */
struct check {
    struct note_key key;
    struct audit_witnesses witnesses;
    const char *id;
    int cosigned;
    struct checkpoint point;
    struct err err;
};

static bool fail(struct check *c, const char *what)
{
    err_set(&c->err, ERR_CORRUPT, "%s", what);
    return false;
}

static bool read_hash(yyjson_val *text, struct merkle_hash *out)
{
    size_t n;
    return yyjson_is_str(text) &&
           base64_decode(out->b, sizeof out->b, &n, yyjson_get_str(text), yyjson_get_len(text)) &&
           n == sizeof out->b;
}

/* Exactly these members, each once: nothing is in a receipt that is not checked. */
static bool has_only(yyjson_val *object, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!yyjson_obj_get(object, names[i]))
            return false;
    }
    return yyjson_is_obj(object) && yyjson_obj_size(object) == n;
}

/* The key that it names is the one that it is checked with: who keeps it may read it there. */
static bool check_head(struct check *c, yyjson_val *root)
{
    static const char *const names[] = {"id", "key", "checkpoint", "records"};
    char text[NOTE_KEY_TEXT_CAP];
    yyjson_val *id = yyjson_obj_get(root, "id");
    note_key_text(text, &c->key);
    if (!has_only(root, names, 4) || !yyjson_is_str(id))
        return fail(c, "it is not in the form of a receipt");
    if (!yyjson_equals_str(yyjson_obj_get(root, "key"), text))
        return fail(c, "it names another key of the log");
    c->id = yyjson_get_str(id);
    return true;
}

static bool check_checkpoint(struct check *c, yyjson_val *root)
{
    struct note note;
    uint64_t time_s;
    yyjson_val *text = yyjson_obj_get(root, "checkpoint");
    if (!yyjson_is_str(text) || note_parse(&note, yyjson_get_str(text), yyjson_get_len(text)) != 0 ||
        checkpoint_parse(&c->point, note.text, note.text_len) != 0)
        return fail(c, "its checkpoint is not in the form");
    if (strcmp(c->point.origin, c->key.name) != 0)
        return fail(c, "it is of another log than the key");
    if (note_check(&note, &c->key, ed25519_verify, &time_s) != 0)
        return fail(c, "its checkpoint is not signed by the log's key");
    c->cosigned = witness_count(&note, c->witnesses.keys, c->witnesses.n, ed25519_verify, &time_s);
    if (c->cosigned < 0)
        return fail(c, "a cosignature under its checkpoint does not hold");
    if ((unsigned)c->cosigned < c->witnesses.quorum)
        return fail(c, "too few of the witnesses cosigned its checkpoint");
    return true;
}

static bool check_inclusion(struct check *c, yyjson_val *record, const char *text, size_t len)
{
    char space[1 + LEAF_TEXT_CAP];
    struct proof proof = {0};
    struct merkle_hash hash;
    yyjson_val *index = yyjson_obj_get(record, "index"), *hashes = yyjson_obj_get(record, "proof"), *one;
    size_t i, max;
    if (!yyjson_is_uint(index) || !yyjson_is_arr(hashes) || yyjson_arr_size(hashes) > MERKLE_LEVELS + 1)
        return fail(c, "a record's proof is not in the form");
    yyjson_arr_foreach(hashes, i, max, one)
    {
        if (!read_hash(one, &proof.hash[proof.n++]))
            return fail(c, "a record's proof is not in the form");
    }
    memcpy(space + 1, text, len);
    merkle_leaf(digest_sha256, hash.b, (uint8_t *)space + 1, len);
    if (!proof_inclusion_holds(digest_sha256, &proof, yyjson_get_uint(index), c->point.size, &hash,
                               &c->point.root))
        return fail(c, "a record's leaf is not in the log of the checkpoint");
    return true;
}

/* What a fact commits to: opened by its salt, or closed, as its commitment, beside which a name proves nothing. */
static bool read_fact(yyjson_val *one, struct merkle_hash *out)
{
    static const char *const open[] = {"name", "value", "salt"}, *const closed[] = {"commitment", "name"};
    char label[LEAF_LABEL_MAX];
    struct merkle_hash salt;
    yyjson_val *name = yyjson_obj_get(one, "name"), *value = yyjson_obj_get(one, "value");
    if (!value)
        return has_only(one, closed, yyjson_obj_size(one) == 1 ? 1 : 2) &&
               read_hash(yyjson_obj_get(one, "commitment"), out);
    if (!has_only(one, open, 3))
        return false;
    struct leaf_fact fact = {yyjson_get_str(name), yyjson_get_str(value), yyjson_get_len(name),
                             yyjson_get_len(value)};
    if (!fact.name || !fact.value || fact.name_len == 0 || fact.name_len > LEAF_LABEL_MAX - 8 ||
        fact.value_len > LEAF_VALUE_MAX || !read_hash(yyjson_obj_get(one, "salt"), &salt))
        return false;
    size_t label_len = leaf_fact_label(label, &fact);
    leaf_commit(digest_sha256, out, &salt, label, label_len, fact.value, fact.value_len);
    return true;
}

/* Whether the fact is the id of what the receipt is for. */
static bool is_id(const struct check *c, yyjson_val *one)
{
    static const char *const names[] = {"response", "job",  "payment",  "credit_note", "invoice",
                                        "recall",   "boot", "snapshot", "unit"};
    yyjson_val *name = yyjson_obj_get(one, "name");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (yyjson_equals_str(name, names[i]))
            return yyjson_equals_str(yyjson_obj_get(one, "value"), c->id);
    }
    return false;
}

static bool check_facts(struct check *c, yyjson_val *record, const struct leaf *leaf)
{
    struct merkle_hash all[LEAF_FACTS_MAX], digest;
    yyjson_val *facts = yyjson_obj_get(record, "facts"), *one;
    size_t i, max, n = 0;
    bool named = false;
    if (!yyjson_is_arr(facts) || yyjson_arr_size(facts) > LEAF_FACTS_MAX)
        return fail(c, "a record's facts are not in the form");
    yyjson_arr_foreach(facts, i, max, one)
    {
        if (!read_fact(one, &all[n++]))
            return fail(c, "a record's facts are not in the form");
        named |= is_id(c, one);
    }
    digest_sha256(digest.b, all, n * sizeof all[0]);
    if (!leaf->has_facts || memcmp(digest.b, leaf->facts.b, sizeof digest.b) != 0)
        return fail(c, "a record's facts are not those that its leaf commits to");
    return named ? true : fail(c, "a record is not of the id that the receipt is for");
}

static bool check_record(struct check *c, yyjson_val *record)
{
    static const char *const names[] = {"index", "leaf", "proof", "facts"};
    struct leaf leaf;
    yyjson_val *text = yyjson_obj_get(record, "leaf");
    size_t len = yyjson_get_len(text);
    if (!has_only(record, names, 4) || !yyjson_is_str(text) || len >= LEAF_TEXT_CAP ||
        leaf_parse(&leaf, yyjson_get_str(text), len) != 0)
        return fail(c, "a record's leaf is not in the form");
    return check_inclusion(c, record, yyjson_get_str(text), len) && check_facts(c, record, &leaf);
}

/* What was opened, for people. */
static void print_record(yyjson_val *record)
{
    yyjson_val *one;
    size_t i, max;
    printf("leaf %llu\n", (unsigned long long)yyjson_get_uint(yyjson_obj_get(record, "index")));
    yyjson_arr_foreach(yyjson_obj_get(record, "facts"), i, max, one)
    {
        const char *name = yyjson_get_str(yyjson_obj_get(one, "name"));
        const char *value = yyjson_get_str(yyjson_obj_get(one, "value"));
        if (name && value)
            printf("  %-20s %s\n", name, value);
    }
}

static bool check_all(struct check *c, yyjson_val *root)
{
    yyjson_val *records = yyjson_obj_get(root, "records"), *one;
    size_t i, max;
    if (!check_head(c, root) || !check_checkpoint(c, root))
        return false;
    if (!yyjson_is_arr(records) || yyjson_arr_size(records) == 0)
        return fail(c, "it has no record");
    yyjson_arr_foreach(records, i, max, one)
    {
        if (!check_record(c, one))
            return false;
    }
    return true;
}

static int tell(const struct cli *cli, const struct check *c, yyjson_val *root, bool good)
{
    yyjson_val *records = yyjson_obj_get(root, "records"), *one;
    size_t i, max;
    if (cli->json)
        printf("{\"result\":\"%s\",\"log\":\"%s\",\"leaves\":%llu,\"records\":%zu,\"cosigned\":%d,"
               "\"finding\":\"%s\"}\n",
               good ? "holds" : "does not hold", good ? c->point.origin : "",
               (unsigned long long)c->point.size, good ? yyjson_arr_size(records) : 0,
               c->cosigned > 0 ? c->cosigned : 0, c->err.msg);
    if (!good) {
        fprintf(stderr, "busbar: the receipt does not hold: %s\n", c->err.msg);
        return CLI_FAILED;
    }
    if (!cli->json) {
        yyjson_arr_foreach(records, i, max, one) print_record(one);
        printf("It holds: log %s, %llu leaves", c->point.origin, (unsigned long long)c->point.size);
        if (c->witnesses.n > 0)
            printf(", cosigned by %d of %u witnesses", c->cosigned, c->witnesses.n);
        printf(".\n");
    }
    return CLI_OK;
}

/* One file. An exit status. */
static int verify_file(const struct cli *cli, struct check *c, const char *path)
{
    struct buf text;
    c->err = (struct err){0};
    c->point = (struct checkpoint){.size = 0};
    c->cosigned = 0;
    buf_init(&text, FILE_BYTES_MAX);
    int read = fs_read(path, &text, &c->err);
    if (read != 0) {
        fprintf(stderr, "busbar: %s\n", c->err.msg[0] ? c->err.msg : err_text(read));
        buf_fini(&text);
        return read == ERR_NOT_FOUND ? CLI_NOT_FOUND : CLI_FAILED;
    }
    yyjson_doc *doc = yyjson_read(text.data ? text.data : "", text.len, 0);
    yyjson_val *root = yyjson_doc_get_root(doc);
    bool good = yyjson_is_obj(root) ? check_all(c, root) : fail(c, "it is not JSON");
    int rc = tell(cli, c, root, good);
    yyjson_doc_free(doc);
    buf_fini(&text);
    return rc;
}

int cli_receipt_verify(const struct cli *cli)
{
    static struct check c;
    const char *key = cli_option(cli, "key");
    if (!key) {
        fprintf(stderr,
                "busbar: receipt verify needs the log's key: --key VKEY, from whom you trust for it\n");
        return CLI_USAGE;
    }
    int rc = audit_key(key, &c.key);
    if (rc == CLI_OK)
        rc = audit_witnesses(cli, &c.witnesses);
    if (rc != CLI_OK)
        return rc;
    /* All of them are looked at; the first that does not hold decides. */
    for (int i = 0; i < cli->nargs; i++) {
        int one = verify_file(cli, &c, cli->args[i]);
        rc = rc ? rc : one;
    }
    return rc;
}
