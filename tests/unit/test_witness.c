/* SPDX-License-Identifier: Apache-2.0 */
/* Witnesses: requests and answers of C2SP tlog-witness, with those of another implementation's tests; who counts as one. */
#include "support.h"

#include "base/digest.h"
#include "base/ed25519.h"
#include "runtime/signer.h"
#include "tlog/witness.h"

#define DASH "\xe2\x80\x94 "
#define ORIGIN "sigsum.org/v1/tree/4d6d8825a6bb689d459628312889dfbb0bcd41b5211d9e1ce768b0ff0309e562"

/* What filippo.io/torchwood's witness is tested with: a log of 1, 3 and 5 leaves. */
static const char torchwood_key[] = "ffdc2d4d98e4124d3feaf788c0c2f9abfd796083d1f0495437f302ec79cf100f";
static const char first[] =
    "old 0\n\n" ORIGIN "\n1\nKgAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n" DASH ORIGIN
    " UgIom7fPZTqpxWWhyjWduBvTvGVqsokMbqTArsQilegKoFBJQjUFAmQ0+YeSPM3wfUQMFSzVnnNuWRTYrajXpNUbIQY=\n";
static const char third[] =
    "old "
    "1\nKgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\nKgIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n" ORIGIN
    "\n3\nRcCI1Nk56ZcSmIEfIn0SleqtV7uvrlXNccFx595Iwl0=\n\n" DASH ORIGIN
    " UgIom2VbtIcdFbwFAy1n7s6IkAxIY6J/GQOTuZF2ORV39d75cbAj2aQYwyJre36kezNobZs4SUUdrcawfAB8WVrx6go=\n";
static const char fifth[] =
    "old 1\nKgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n+fUDV+k970B4I3uKrqJM4aP1lloPZP8mvr2Z4wRw2LI=\n"
    "KgQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n" ORIGIN
    "\n5\nQrtXrQZCCvpIgsSmOsah7HdICzMLLyDfxToMql9WTjY=\n\n" DASH ORIGIN
    " UgIomw/EOJmWi0i1FQsOj+etB7F8IccFam/jgd6wzRns4QPVmyEZtdvl1U2KEmLOZ/ASRcWJi0tW90dJWAShei7sDww=\n";

/* The answer; on 200 the head moves. */
static int ask(const char *body, size_t len, const struct note_key *log, struct checkpoint *head)
{
    struct witness_request request;
    char *exact = malloc(len + 1); /* so that what reads behind it is seen */
    memcpy(exact, body, len);
    int status = witness_request_parse(&request, exact, len) == 0
                     ? witness_judge(digest_sha256, ed25519_verify, log, head, &request)
                     : 400;
    if (status == 200)
        *head = request.point;
    free(exact);
    return status;
}

static void known_log(struct note_key *log)
{
    uint8_t key[32];
    assert_true(hex_decode(key, 32, torchwood_key, 64));
    assert_int_equal(note_key_init(digest_sha256, log, ORIGIN, NOTE_ED25519, key), 0);
}

static void test_requests_of_another(void **state)
{
    (void)state;
    struct note_key log, other;
    struct checkpoint head = {.size = 0};
    known_log(&log);
    assert_int_equal(ask(third, sizeof third - 1, &log, &head), 409); /* it cosigned nothing yet */
    assert_int_equal(ask(first, sizeof first - 1, &log, &head), 200);
    assert_int_equal(ask(first, sizeof first - 1, &log, &head), 409);
    assert_int_equal(ask(fifth, sizeof fifth - 1, &log, &head), 200);
    assert_int_equal(head.size, 5);
    assert_int_equal(ask(third, sizeof third - 1, &log, &head), 409);
    assert_int_equal(head.size, 5);
    /* The key of another log; another key of the same name. */
    assert_int_equal(note_key_init(digest_sha256, &other, "example.com/log", NOTE_ED25519, log.key), 0);
    assert_int_equal(ask(fifth, sizeof fifth - 1, &other, &head), 404);
    uint8_t key[32] = {1};
    assert_int_equal(note_key_init(digest_sha256, &other, ORIGIN, NOTE_ED25519, key), 0);
    assert_int_equal(ask(fifth, sizeof fifth - 1, &other, &head), 403);
    /* A proof of 64 lines is one too long, whatever is in it. */
    char many[8192] = "old 0\n";
    size_t at = 6;
    for (int i = 0; i < 64; i++, at += 45)
        memcpy(many + at, "KgEAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 45);
    memcpy(many + at, first + 6, sizeof first - 7);
    assert_int_equal(ask(many, at + sizeof first - 7, &log, &head), 400);
    head = (struct checkpoint){.size = 0};
    memmove(many + 6, many + 6 + 45, at + sizeof first - 7 - 6 - 45);
    assert_int_equal(ask(many, at + sizeof first - 7 - 45, &log, &head),
                     422); /* 63, and none would be right */
}

/* Not one changed bit of a request is cosigned as what it was; cut anywhere it is none. */
static void test_changed_requests(void **state)
{
    (void)state;
    struct note_key log;
    known_log(&log);
    size_t len = sizeof fifth - 1;
    for (size_t bit = 0; bit < 8 * len; bit++) {
        struct checkpoint head = {.size = 0};
        char copy[sizeof fifth];
        assert_int_equal(ask(first, sizeof first - 1, &log, &head), 200);
        memcpy(copy, fifth, len);
        copy[bit / 8] ^= (char)(1u << bit % 8);
        assert_int_not_equal(ask(copy, len, &log, &head), 200);
    }
    for (size_t cut = 0; cut < len; cut++) {
        struct checkpoint head = {.size = 0};
        assert_int_not_equal(ask(fifth, cut, &log, &head), 200);
    }
    static const char *const bad[] = {"",
                                      "old\n\n",
                                      "old \n\n",
                                      "old 01\n\n",
                                      "old -1\n\n",
                                      "old  1\n\n",
                                      "old 9223372036854775808\n\n",
                                      "Old 1\n\n",
                                      "old 1",
                                      "old 1\nx\n\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct witness_request request;
        assert_int_equal(witness_request_parse(&request, bad[i], strlen(bad[i])), ERR_INVALID);
    }
}

/* ---- a log of our own ---- */

static void sign(void *ctx, uint8_t sig[NOTE_SIG_LEN], const void *text, size_t len)
{
    ed25519_sign(ctx, sig, text, len);
}

static size_t signed_point(char *dst, const struct checkpoint *point, const struct note_key *key,
                           uint8_t *seed)
{
    size_t text_len = checkpoint_text(dst, point), len = text_len;
    dst[len++] = '\n';
    return len + note_line(dst + len, key, sign, seed, dst, text_len, 0);
}

static void key_of(struct note_key *key, const char *name, enum note_type type, const uint8_t seed[32])
{
    uint8_t public_key[32];
    ed25519_public(public_key, seed);
    assert_int_equal(note_key_init(digest_sha256, key, name, type, public_key), 0);
}

static void test_sizes(void **state)
{
    (void)state;
    uint8_t seed[32] = {7};
    struct merkle_hash empty, other = {{9}};
    struct note_key log;
    key_of(&log, "example.com/log", NOTE_ED25519, seed);
    merkle_empty(digest_sha256, &empty);
    const struct {
        uint64_t head, old, size;
        const struct merkle_hash *head_root, *root;
        unsigned hashes;
        int status;
    } known[] = {{0, 0, 0, &empty, &empty, 0, 200}, {0, 0, 0, &empty, &other, 0, 422},
                 {0, 0, 0, &empty, &empty, 1, 422}, {0, 0, 1, &empty, &other, 0, 200},
                 {0, 0, 1, &empty, &other, 1, 422}, {1, 0, 1, &other, &other, 0, 409},
                 {1, 1, 0, &other, &empty, 0, 400}, {1, 1, 1, &other, &other, 0, 200},
                 {1, 1, 1, &other, &empty, 0, 409}, {1, 1, 1, &other, &other, 1, 422},
                 {1, 1, 2, &other, &empty, 1, 422}, {1, 2, 3, &other, &empty, 1, 409}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char body[WITNESS_HEAD_CAP + 1024];
        struct checkpoint head = {.size = known[i].head, .root = *known[i].head_root};
        struct checkpoint point = {
            .origin = "example.com/log", .size = known[i].size, .root = *known[i].root};
        struct proof proof = {.n = known[i].hashes};
        size_t len = witness_request_head(body, known[i].old, &proof);
        len += signed_point(body + len, &point, &log, seed);
        assert_int_equal(ask(body, len, &log, &head), known[i].status);
    }
}

/* Keys that witnesses of the public network have; and that a cosignature counts once, by its own key alone. */
static void test_cosigned(void **state)
{
    (void)state;
    static const char remora[] = "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2";
    uint8_t seeds[4][32] = {{1}, {2}, {3}, {4}};
    struct note_key log, keys[3], known;
    struct checkpoint point = {.origin = "example.com/log", .size = 12};
    struct note note;
    char text[2048];
    uint64_t oldest_s;
    assert_int_equal(note_key_parse(digest_sha256, &known, remora, sizeof remora - 1), 0);
    assert_int_equal(known.type, NOTE_COSIGNATURE);
    key_of(&log, point.origin, NOTE_ED25519, seeds[0]);
    for (int i = 0; i < 3; i++)
        key_of(&keys[i],
               i == 0   ? "a.example"
               : i == 1 ? "b.example"
                        : "c.example",
               NOTE_COSIGNATURE, seeds[1 + i]);
    size_t len = signed_point(text, &point, &log, seeds[0]);
    assert_int_equal(note_parse(&note, text, len), 0);
    const size_t text_len = note.text_len;
    assert_int_equal(witness_count(&note, keys, 3, ed25519_verify, &oldest_s), 0);
    assert_int_equal(oldest_s, 0);
    len += note_line(text + len, &keys[0], sign, seeds[1], text, text_len, 1700000009);
    len += note_line(text + len, &keys[2], sign, seeds[3], text, text_len, 1700000005);
    len += note_line(text + len, &keys[2], sign, seeds[3], text, text_len, 1700000006);
    assert_int_equal(note_parse(&note, text, len), 0);
    assert_int_equal(witness_count(&note, keys, 3, ed25519_verify, &oldest_s), 2);
    assert_int_equal(oldest_s, 1700000005);
    assert_int_equal(witness_count(&note, &known, 1, ed25519_verify, &oldest_s), 0);
    /* One of its key and name that does not hold: by another seed. */
    size_t more = len + note_line(text + len, &keys[1], sign, seeds[3], text, text_len, 1700000005);
    assert_int_equal(note_parse(&note, text, more), 0);
    assert_int_equal(witness_count(&note, keys, 3, ed25519_verify, &oldest_s), ERR_DIGEST);
    /* No time is after 2^63 - 1. */
    more = len + note_line(text + len, &keys[1], sign, seeds[2], text, text_len, (uint64_t)INT64_MAX + 1);
    assert_int_equal(note_parse(&note, text, more), 0);
    assert_int_equal(witness_count(&note, keys, 3, ed25519_verify, &oldest_s), ERR_DIGEST);
    more = len + note_line(text + len, &keys[1], sign, seeds[2], text, text_len, INT64_MAX);
    assert_int_equal(note_parse(&note, text, more), 0);
    assert_int_equal(witness_count(&note, keys, 3, ed25519_verify, &oldest_s), 3);
}

/* ---- forks ---- */

#define TREE_MAX 700

/* A history: the leaves that a tree has, and how a prover finds its hashes. */
struct history {
    struct merkle_hash leaf[TREE_MAX];
    uint64_t size;
};

static int read_subtree(void *ctx, unsigned level, uint64_t index, struct merkle_hash *out)
{
    const struct history *h = ctx;
    struct merkle_hash all[TREE_MAX];
    uint64_t n = UINT64_C(1) << level, from = index << level;
    assert_true(from + n <= h->size);
    memcpy(all, h->leaf + from, n * sizeof all[0]);
    for (; n > 1; n /= 2) {
        for (uint64_t i = 0; i < n / 2; i++)
            merkle_node(digest_sha256, &all[i], &all[2 * i], &all[2 * i + 1]);
    }
    *out = all[0];
    return 0;
}

static void point_of(const struct history *h, uint64_t size, struct checkpoint *point)
{
    struct merkle_edge edge = {0};
    for (uint64_t i = 0; i < size; i++)
        merkle_edge_add(digest_sha256, &edge, &h->leaf[i]);
    *point = (struct checkpoint){.origin = "example.com/log", .size = size};
    merkle_edge_root(digest_sha256, &edge, &point->root);
}

/* What the log shows: its history with one leaf changed, perhaps left out, or cut; a proof of its own, or of the true history. */
struct showing {
    struct history *seen, *shown;
    uint64_t old, size, changed; /* changed == size: nothing is */
    struct checkpoint point;
    struct proof proof;
};

static void choose(struct showing *s, uint64_t *seed)
{
    s->old = 1 + test_below(seed, TREE_MAX / 2);
    s->size = s->old + test_below(seed, TREE_MAX / 2);
    s->changed = test_below(seed, 4) == 0 ? s->size : test_below(seed, s->size);
    *s->shown = *s->seen;
    s->shown->size = s->seen->size = s->size;
    if (s->changed < s->size && test_below(seed, 3) == 0) /* a leaf is left out */
        memmove(s->shown->leaf + s->changed, s->shown->leaf + s->changed + 1,
                (TREE_MAX - s->changed - 1) * sizeof s->shown->leaf[0]);
    else if (s->changed < s->size)
        s->shown->leaf[s->changed].b[test_below(seed, 32)] ^= (uint8_t)(1u << test_below(seed, 8));
    point_of(s->shown, s->size, &s->point);
    struct history *prover = test_below(seed, 3) == 0 ? s->seen : s->shown;
    assert_int_equal(proof_consistency(digest_sha256, read_subtree, prover, s->old, s->size, &s->proof), 0);
}

static struct showing begin_showing(uint64_t *seed)
{
    struct showing s = {.seen = calloc(1, sizeof *s.seen), .shown = calloc(1, sizeof *s.shown)};
    for (int i = 0; i < TREE_MAX; i++) {
        for (int k = 0; k < 4; k++) {
            uint64_t random = test_random(seed);
            memcpy(s.seen->leaf[i].b + 8 * k, &random, 8);
        }
    }
    return s;
}

/* A log with one key shows two histories; the witness has seen the first. It cosigns the other if and only if that has as its
 * beginning what was seen. */
static void test_split_views(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), n = test_count(400, 10000), forks = 0, told[600] = {0};
    uint8_t key[32] = {7};
    struct note_key log;
    struct showing s = begin_showing(&seed);
    key_of(&log, "example.com/log", NOTE_ED25519, key);
    for (uint64_t i = 0; i < n; i++) {
        struct checkpoint head, before;
        char body[WITNESS_HEAD_CAP + 1024];
        choose(&s, &seed);
        point_of(s.seen, s.old, &head);
        before = head;
        bool forked = s.changed < s.old;
        size_t len = witness_request_head(body, s.old, &s.proof);
        len += signed_point(body + len, &s.point, &log, key);
        int status = ask(body, len, &log, &head);
        told[status]++;
        forks += forked;
        if (forked) {
            assert_int_equal(status, s.size == s.old ? 409 : 422);
            assert_memory_equal(&head, &before, sizeof head);
        } else if (status == 200) {
            assert_memory_equal(&head, &s.point, sizeof head);
        } else { /* a good tree with the proof of another */
            assert_int_equal(status, 422);
        }
    }
    assert_true(told[200] > n / 4 && forks > n / 4);
    printf("# histories: %llu; forks: %llu, all refused; cosigned: %llu\n", (unsigned long long)n,
           (unsigned long long)forks, (unsigned long long)told[200]);
    free(s.seen);
    free(s.shown);
}

/* The signer, which has signed the first history, is asked to sign the other. */
static void test_signer_forks(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), n = test_count(300, 10000), forks = 0, extended = 0;
    char *folder = test_folder();
    struct signer_state *signer = calloc(1, sizeof *signer);
    struct err err = {0};
    struct buf message, reply;
    struct showing s = begin_showing(&seed);
    buf_init(&message, SIGNER_MESSAGE_MAX);
    buf_init(&reply, SIGNER_MESSAGE_MAX);
    assert_int_equal(signer_open(signer, folder, &err), 0);
    for (uint64_t i = 0; i < n; i++) {
        char proof[PROOF_TEXT_CAP], text[CHECKPOINT_TEXT_CAP];
        choose(&s, &seed);
        bool forked = s.changed < s.old;
        if (!forked && i % 8 != 0) /* each signature is a file that is synced */
            continue;
        point_of(s.seen, s.old, &signer->head);
        struct checkpoint before;
        memcpy(signer->head.origin, signer->key.name, sizeof before.origin);
        memcpy(s.point.origin, signer->key.name, sizeof s.point.origin);
        before = signer->head;
        (void)proof_text(proof, &s.proof);
        (void)checkpoint_text(text, &s.point);
        buf_clear(&message);
        buf_addf(&message, "sign\n%s%s", proof, text);
        signer_answer(signer, message.data, message.len, &reply);
        bool is_signed = reply.len > 3 && memcmp(reply.data, "ok\n", 3) == 0;
        forks += forked;
        extended += is_signed;
        if (forked)
            assert_false(is_signed);
        assert_memory_equal(&signer->head, is_signed ? &s.point : &before, sizeof before);
    }
    assert_true(forks > n / 4 && extended > 0);
    printf("# forks that the signer refused: %llu of %llu; signed: %llu\n", (unsigned long long)forks,
           (unsigned long long)forks, (unsigned long long)extended);
    buf_fini(&message);
    buf_fini(&reply);
    free(signer);
    free(s.seen);
    free(s.shown);
    test_folder_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_of_another),
        cmocka_unit_test(test_changed_requests),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_cosigned),
        cmocka_unit_test(test_split_views),
        cmocka_unit_test(test_signer_forks),
    };
    return cmocka_run_group_tests_name("witness", tests, NULL, NULL);
}
