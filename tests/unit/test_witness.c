/* SPDX-License-Identifier: Apache-2.0 */
/* Witnesses: requests and answers of C2SP tlog-witness, with those of another implementation's tests; who counts as one. */
#include "support.h"

#include "base/digest.h"
#include "base/ed25519.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_of_another),
        cmocka_unit_test(test_changed_requests),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_cosigned),
    };
    return cmocka_run_group_tests_name("witness", tests, NULL, NULL);
}
