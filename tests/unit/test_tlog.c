/* SPDX-License-Identifier: Apache-2.0 */
/* The tree, its proofs, tiles, notes and checkpoints: the published vectors, and each against a plain definition. */
#include "support.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/ed25519.h"
#include "tlog/checkpoint.h"
#include "tlog/note.h"
#include "tlog/proof.h"
#include "tlog/tile.h"

static void hex_is(const uint8_t *bytes, size_t len, const char *want)
{
    char text[2 * 64 + 1];
    hex_encode(text, bytes, len);
    assert_string_equal(text, want);
}

static struct merkle_hash leaf_of(const void *data, size_t len)
{
    uint8_t space[1 + 64];
    struct merkle_hash out;
    if (len)
        memcpy(space + 1, data, len);
    merkle_leaf(digest_sha256, out.b, space + 1, len);
    return out;
}

/* The leaves and roots of certificate-transparency's test data, as its readers in other languages have them. */
static void test_known_roots(void **state)
{
    (void)state;
    static const struct {
        const char *leaf, *root;
    } known[] = {
        {"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
        {"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
        {"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
        {"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
        {"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
        {"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
        {"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
        {"606162636465666768696a6b6c6d6e6f",
         "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
    };
    struct merkle_edge edge = {0};
    struct merkle_hash root;
    merkle_edge_root(digest_sha256, &edge, &root);
    hex_is(root.b, 32, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint8_t bytes[16];
        size_t len = strlen(known[i].leaf) / 2;
        assert_true(hex_decode(bytes, len, known[i].leaf, 2 * len));
        struct merkle_hash leaf = leaf_of(bytes, len);
        merkle_edge_add(digest_sha256, &edge, &leaf);
        merkle_edge_root(digest_sha256, &edge, &root);
        hex_is(root.b, 32, known[i].root);
    }
}

/* ---- a log of which all leaves are kept ---- */

#define LEAVES 70000 /* three levels of tiles */

static struct merkle_hash *leaves;
static struct merkle_hash *tiles[TILE_LEVELS]; /* as files would have them, side by side */

static int keep_tile(void *ctx, const struct tile *tile, const struct merkle_hash *hashes)
{
    (void)ctx;
    memcpy(tiles[tile->level] + tile->index * TILE_WIDTH, hashes, tile->width * sizeof *hashes);
    return 0;
}

static int read_tile(void *ctx, const struct tile *tile, struct merkle_hash *hashes)
{
    (void)ctx;
    memcpy(hashes, tiles[tile->level] + tile->index * TILE_WIDTH, tile->width * sizeof *hashes);
    return 0;
}

static int make_log(void **state)
{
    (void)state;
    leaves = malloc(LEAVES * sizeof *leaves);
    for (int level = 0; level < TILE_LEVELS; level++)
        tiles[level] = calloc((level < 3 ? LEAVES >> 8 * level : 0) + TILE_WIDTH, sizeof *leaves);
    for (uint32_t i = 0; i < LEAVES; i++)
        leaves[i] = leaf_of(&i, sizeof i);
    return 0;
}

static int end_log(void **state)
{
    (void)state;
    free(leaves);
    for (int level = 0; level < TILE_LEVELS; level++)
        free(tiles[level]);
    return 0;
}

/* MTH of RFC 6962, word for word. */
static struct merkle_hash mth(uint64_t lo, uint64_t hi)
{
    struct merkle_hash out;
    uint64_t k = 1;
    if (hi - lo == 1)
        return leaves[lo];
    while (2 * k < hi - lo)
        k *= 2;
    struct merkle_hash left = mth(lo, lo + k), right = mth(lo + k, hi);
    merkle_node(digest_sha256, &out, &left, &right);
    return out;
}

static void test_edges(void **state)
{
    (void)state;
    struct tile_edge *edge = calloc(1, sizeof *edge);
    struct merkle_edge plain = {0}, again;
    for (uint64_t n = 1; n <= LEAVES; n++) {
        struct merkle_hash want, root;
        assert_int_equal(tile_edge_add(digest_sha256, edge, &leaves[n - 1], keep_tile, NULL), 0);
        merkle_edge_add(digest_sha256, &plain, &leaves[n - 1]);
        if (n > 300 && n % 20011 != 0 && n != 65536 && n != LEAVES)
            continue;
        want = mth(0, n);
        merkle_edge_root(digest_sha256, &plain, &root);
        assert_memory_equal(&root, &want, sizeof root);
        tile_edge_root(digest_sha256, edge, &root);
        assert_memory_equal(&root, &want, sizeof root);
        uint8_t packed[MERKLE_EDGE_PACKED_MAX];
        size_t len = merkle_edge_pack(&plain, packed);
        assert_int_equal(merkle_edge_unpack(&again, packed, len), 0);
        merkle_edge_root(digest_sha256, &again, &root);
        assert_memory_equal(&root, &want, sizeof root);
        assert_int_equal(merkle_edge_unpack(&again, packed, len - 1), ERR_CORRUPT);
    }
    assert_int_equal(tile_edge_partial(edge, keep_tile, NULL), 0);
    free(edge);
}

static void check_inclusion(struct tile_reader *reader, uint64_t index)
{
    struct proof proof;
    struct merkle_hash root = mth(0, reader->size);
    assert_int_equal(proof_inclusion(digest_sha256, tile_subtree, reader, index, reader->size, &proof), 0);
    assert_true(proof_inclusion_holds(digest_sha256, &proof, index, reader->size, &leaves[index], &root));
    assert_false(
        proof_inclusion_holds(digest_sha256, &proof, index + 1, reader->size, &leaves[index], &root));
    if (proof.n > 0) {
        unsigned bit = (unsigned)index * 31 % (proof.n * 256);
        proof.hash[bit / 256].b[bit / 8 % 32] ^= (uint8_t)(1u << bit % 8);
        assert_false(
            proof_inclusion_holds(digest_sha256, &proof, index, reader->size, &leaves[index], &root));
        proof.n--;
        assert_false(
            proof_inclusion_holds(digest_sha256, &proof, index, reader->size, &leaves[index], &root));
    }
}

static void check_consistency(struct tile_reader *reader, uint64_t old)
{
    struct proof proof;
    struct merkle_hash root = mth(0, reader->size), old_root = mth(0, old), other = leaves[1];
    assert_int_equal(proof_consistency(digest_sha256, tile_subtree, reader, old, reader->size, &proof), 0);
    assert_true(proof_consistency_holds(digest_sha256, &proof, old, reader->size, &old_root, &root));
    assert_false(proof_consistency_holds(digest_sha256, &proof, old, reader->size, &other, &root));
    assert_false(proof_consistency_holds(digest_sha256, &proof, old, reader->size, &old_root, &other));
    if (proof.n > 0) {
        unsigned bit = (unsigned)old * 37 % (proof.n * 256);
        proof.hash[bit / 256].b[bit / 8 % 32] ^= (uint8_t)(1u << bit % 8);
        assert_false(proof_consistency_holds(digest_sha256, &proof, old, reader->size, &old_root, &root));
        proof.n--;
        assert_false(proof_consistency_holds(digest_sha256, &proof, old, reader->size, &old_root, &root));
    }
}

/* Level 0 holds the leaves of every size that is asked for here; a partial tile is the beginning of the full one. */
static void test_proofs(void **state)
{
    (void)state;
    struct tile_reader *reader = calloc(1, sizeof *reader);
    *reader = (struct tile_reader){.hash = digest_sha256, .read = read_tile};
    for (reader->size = 2; reader->size <= 40; reader->size++) {
        for (uint64_t i = 0; i < reader->size; i++)
            check_inclusion(reader, i);
        for (uint64_t i = 1; i <= reader->size; i++)
            check_consistency(reader, i);
    }
    static const uint64_t sizes[] = {255, 256, 257, 511, 512, 65535, 65536, 65537, LEAVES};
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        reader->size = sizes[k];
        for (uint64_t i = 0; i < 4; i++) {
            check_inclusion(reader, (i * 6367 + 254) % reader->size);
            check_consistency(reader, (i * 5867 + 255) % reader->size + 1);
        }
    }
    struct proof proof;
    struct merkle_hash empty, root = mth(0, LEAVES);
    merkle_empty(digest_sha256, &empty);
    assert_int_equal(proof_consistency(digest_sha256, tile_subtree, reader, 0, LEAVES, &proof), 0);
    assert_true(proof_consistency_holds(digest_sha256, &proof, 0, LEAVES, &empty, &root));
    assert_false(proof_consistency_holds(digest_sha256, &proof, 0, LEAVES, &root, &root));
    assert_int_equal(proof_inclusion(digest_sha256, tile_subtree, reader, LEAVES, LEAVES, &proof),
                     ERR_INVALID);
    assert_int_equal(proof_consistency(digest_sha256, tile_subtree, reader, LEAVES + 1, LEAVES, &proof),
                     ERR_INVALID);
    free(reader);
}

/* ---- files ---- */

static void test_paths(void **state)
{
    (void)state;
    static const struct {
        struct tile tile;
        const char *path;
    } known[] = {
        {{0, 256, 0}, "tile/0/000"},
        {{273, 112, 0}, "tile/0/273.p/112"},
        {{1234067, 256, 0}, "tile/0/x001/x234/067"}, /* the example of tlog-tiles */
        {{1, 17, 1}, "tile/1/001.p/17"},
        {{1000, 1, TILE_ENTRIES}, "tile/entries/x001/000.p/1"},
        {{999, 256, TILE_ENTRIES}, "tile/entries/999"},
    };
    char path[TILE_PATH_CAP];
    struct tile tile;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        tile_path(path, &known[i].tile);
        assert_string_equal(path, known[i].path);
        assert_true(tile_path_parse(&tile, path, strlen(path)));
        assert_true(tile.index == known[i].tile.index && tile.width == known[i].tile.width &&
                    tile.level == known[i].tile.level);
    }
    static const char *const wrong[] = {"",
                                        "tile/",
                                        "tile/0",
                                        "tile/0/",
                                        "tile/0/00",
                                        "tile/0/0000",
                                        "tile/8/000",
                                        "tile/00/000",
                                        "tile/x/000",
                                        "tile/0/x000/067",
                                        "tile/0/x001",
                                        "tile/0/x001/",
                                        "tile/0/001/067",
                                        "tile/0/x001/x067",
                                        "tile/0/000.p/0",
                                        "tile/0/000.p/256",
                                        "tile/0/000.p/01",
                                        "tile/0/000.p/",
                                        "tile/0/000.p/1/",
                                        "tile/0/000 ",
                                        "tile/0/../000",
                                        "tile/entries",
                                        "tile/entries/",
                                        "tile/entries/+00",
                                        "/tile/0/000",
                                        "tile/0/x999/x999/x999/x999/x999/x999/x999/x999/x999/999"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (tile_path_parse(&tile, wrong[i], strlen(wrong[i])))
            fail_msg("%s was taken", wrong[i]);
    }
    assert_int_equal(tile_width(0, 273, 70000), 112);
    assert_int_equal(tile_width(1, 1, 70000), 17);
    assert_int_equal(tile_width(2, 0, 70000), 1);
    assert_int_equal(tile_width(TILE_ENTRIES, 0, 70000), 256);
    assert_int_equal(tile_width(2, 1, 70000), 0);
    assert_int_equal(tile_width(0, 1, 256), 0);
}

static void test_bundles(void **state)
{
    (void)state;
    uint8_t bundle[64];
    size_t len = tile_entry_put(bundle, sizeof bundle, "one", 3), at = 0, n;
    len += tile_entry_put(bundle + len, sizeof bundle - len, "", 0);
    const uint8_t *entry;
    assert_int_equal(len, 7);
    assert_memory_equal(bundle, "\0\3one\0\0", 7);
    assert_int_equal(tile_entry_next(bundle, len, &at, &entry, &n), 0);
    assert_true(n == 3 && memcmp(entry, "one", 3) == 0);
    assert_int_equal(tile_entry_next(bundle, len, &at, &entry, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(tile_entry_next(bundle, len, &at, &entry, &n), ERR_NOT_FOUND);
    for (size_t cut = 1; cut < 5; cut++) {
        at = 0;
        assert_int_equal(tile_entry_next(bundle, cut, &at, &entry, &n), ERR_CORRUPT);
    }
    assert_int_equal(tile_entry_put(bundle, 4, "one", 3), 0);
}

/* ---- text ---- */

static void test_base64(void **state)
{
    (void)state;
    static const char *const known[][2] = {{"", ""},
                                           {"f", "Zg=="},
                                           {"fo", "Zm8="},
                                           {"foo", "Zm9v"},
                                           {"foob", "Zm9vYg=="},
                                           {"fooba", "Zm9vYmE="},
                                           {"foobar", "Zm9vYmFy"}}; /* RFC 4648 section 10 */
    char text[16];
    uint8_t bytes[16];
    size_t len;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        base64_encode(text, (const uint8_t *)known[i][0], strlen(known[i][0]));
        assert_string_equal(text, known[i][1]);
        assert_true(base64_decode(bytes, sizeof bytes, &len, text, strlen(text)));
        assert_true(len == strlen(known[i][0]) && memcmp(bytes, known[i][0], len) == 0);
    }
    static const char *const wrong[] = {
        "Z", "Zg", "Zg=", "Zh==", "Zm9=", "Z===", "====", "Zg==Zg==", "Zm9v\n", "Zm-v"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        if (base64_decode(bytes, sizeof bytes, &len, wrong[i], strlen(wrong[i])))
            fail_msg("%s was taken", wrong[i]);
    }
    assert_false(base64_decode(bytes, 2, &len, "Zm9v", 4));
}

/* RFC 8032 section 7.1, tests 1 to 3. */
static void test_ed25519(void **state)
{
    (void)state;
    static const struct {
        const char *seed, *key, *text, *sig;
    } known[] = {
        {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
         "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
         "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25"
         "bf5f05"
         "95bbe24655141438e7a100b"},
        {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
         "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
         "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387"
         "b2eaeb"
         "4302aeeb00d291612bb0c00"},
        {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
         "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
         "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7"
         "c15e97"
         "16ed28dc027beceea1ec40a"},
    };
    for (size_t i = 0; i < 3; i++) {
        uint8_t seed[32], key[32], text[2], sig[64];
        size_t len = strlen(known[i].text) / 2;
        assert_true(hex_decode(seed, 32, known[i].seed, 64) && hex_decode(text, len, known[i].text, 2 * len));
        ed25519_public(key, seed);
        hex_is(key, 32, known[i].key);
        ed25519_sign(seed, sig, text, len);
        hex_is(sig, 64, known[i].sig);
        assert_true(ed25519_verify(key, sig, text, len));
        for (unsigned bit = 0; bit < 512; bit++) {
            sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
            assert_false(ed25519_verify(key, sig, text, len));
            sig[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
}

/* The example of the signed note's first implementation. */
static const char neumann_key[] = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
static const char neumann[] =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\xe2\x80\x94 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZS"
    "NXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";

/* 0 if the note is in the form and the key's signature holds. */
static int open_note(const char *src, size_t len, const struct note_key *key, uint64_t *time_s)
{
    struct note note;
    int rc = note_parse(&note, src, len);
    return rc ? rc : note_check(&note, key, ed25519_verify, time_s);
}

static void test_note(void **state)
{
    (void)state;
    struct note_key key, other;
    char text[NOTE_KEY_TEXT_CAP];
    uint64_t time_s;
    size_t len = sizeof neumann - 1;
    assert_int_equal(note_key_parse(digest_sha256, &key, neumann_key, sizeof neumann_key - 1), 0);
    note_key_text(text, &key);
    assert_string_equal(text, neumann_key);
    assert_int_equal(open_note(neumann, len, &key, &time_s), 0);
    assert_int_equal(note_key_init(digest_sha256, &other, "example.com/log", NOTE_ED25519, key.key), 0);
    assert_int_equal(open_note(neumann, len, &other, &time_s), ERR_NOT_FOUND);
    for (size_t bit = 0; bit < 8 * len; bit++) {
        char *copy = malloc(len);
        memcpy(copy, neumann, len);
        copy[bit / 8] ^= (char)(1u << bit % 8);
        assert_int_not_equal(open_note(copy, len, &key, &time_s), 0);
        free(copy);
    }
    for (size_t cut = 0; cut < len; cut++) {
        char *copy = malloc(cut + 1);
        memcpy(copy, neumann, cut);
        assert_int_not_equal(open_note(copy, cut, &key, &time_s), 0);
        free(copy);
    }
    for (size_t bit = 0; bit < 8 * (sizeof neumann_key - 1); bit++) {
        memcpy(text, neumann_key, sizeof neumann_key);
        text[bit / 8] ^= (char)(1u << bit % 8);
        assert_int_equal(note_key_parse(digest_sha256, &other, text, sizeof neumann_key - 1), ERR_INVALID);
    }
}

static void sign(void *ctx, uint8_t sig[NOTE_SIG_LEN], const void *text, size_t len)
{
    ed25519_sign(ctx, sig, text, len);
}

static void test_sign(void **state)
{
    (void)state;
    uint8_t seeds[2][32] = {{1}, {2}}, public_key[32];
    struct note_key log, witness;
    struct checkpoint point = {.origin = "example.com/log", .size = 70000, .root = leaf_of("x", 1)}, again;
    char note[2048];
    uint64_t time_s;
    ed25519_public(public_key, seeds[0]);
    assert_int_equal(note_key_init(digest_sha256, &log, point.origin, NOTE_ED25519, public_key), 0);
    ed25519_public(public_key, seeds[1]);
    assert_int_equal(note_key_init(digest_sha256, &witness, "w.example", NOTE_COSIGNATURE, public_key), 0);
    size_t text_len = checkpoint_text(note, &point), len = text_len;
    note[len++] = '\n';
    len += note_line(note + len, &log, sign, seeds[0], note, text_len, 0);
    assert_int_equal(open_note(note, len, &witness, &time_s), ERR_NOT_FOUND);
    len += note_line(note + len, &witness, sign, seeds[1], note, text_len, 1700000000);
    assert_int_equal(open_note(note, len, &log, &time_s), 0);
    assert_int_equal(open_note(note, len, &witness, &time_s), 0);
    assert_int_equal(time_s, 1700000000);
    /* One by a key of a kind that nobody here knows, longer than ours. */
    char base64[BASE64_LEN(2420) + 1];
    uint8_t long_sig[2420] = {9};
    base64_encode(base64, long_sig, sizeof long_sig);
    char *longer = malloc(len + sizeof base64 + 32);
    int n = snprintf(longer, len + sizeof base64 + 32, "%.*s\xe2\x80\x94 \xc3\xbc.example %s\n", (int)len,
                     note, base64);
    assert_int_equal(open_note(longer, (size_t)n, &log, &time_s), 0);
    longer[n - 10] = '=';
    assert_int_equal(open_note(longer, (size_t)n, &log, &time_s), ERR_INVALID);
    free(longer);
    assert_int_equal(checkpoint_parse(&again, note, text_len), 0);
    assert_true(strcmp(again.origin, point.origin) == 0 && again.size == 70000);
    assert_memory_equal(&again.root, &point.root, sizeof point.root);
}

static void test_checkpoint_text(void **state)
{
    (void)state;
    static const char root[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    static const struct {
        int rc;
        const char *origin, *size, *more;
    } known[] = {{0, "a/b\n", "0\n", "\n"},
                 {0, "a/b\n", "12\n", "\nmore\n"},
                 {ERR_INVALID, "a/b\n", "012\n", "\n"},
                 {ERR_INVALID, "a/b\n", "+12\n", "\n"},
                 {ERR_INVALID, "a/b\n", "9223372036854775808\n", "\n"},
                 {ERR_INVALID, "\n", "1\n", "\n"},
                 {ERR_INVALID, "a/b\n", "\n", "\n"},
                 {ERR_INVALID, "a/b\n", "1\n", ""},
                 {ERR_INVALID, "a/b\n", "1\n", "\n\n"},
                 {ERR_INVALID, "a/b\n", "1\n", "\nmore"},
                 {ERR_INVALID, "a/b\n", "1\n", "A\n"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char text[128];
        struct checkpoint point;
        int n = snprintf(text, sizeof text, "%s%s%s%s", known[i].origin, known[i].size, root, known[i].more);
        assert_int_equal(checkpoint_parse(&point, text, (size_t)n), known[i].rc);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_roots),     cmocka_unit_test(test_edges),   cmocka_unit_test(test_proofs),
        cmocka_unit_test(test_paths),           cmocka_unit_test(test_bundles), cmocka_unit_test(test_base64),
        cmocka_unit_test(test_ed25519),         cmocka_unit_test(test_note),    cmocka_unit_test(test_sign),
        cmocka_unit_test(test_checkpoint_text),
    };
    return cmocka_run_group_tests_name("tlog", tests, make_log, end_log);
}
