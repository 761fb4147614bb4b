/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transparency log's files and its signer when power is lost before any change of any file, when any call fails, and when there is
 * no memory. The publisher is the real one, and the signer, but for that it is a thread and no process.
 *
 * Always: the checkpoint in the folder is signed, of a tree that was committed, and all that it needs is there and whole; it is not
 * behind what was published. The signer has its key once that was used, and its head is not behind what it signed, so it signs no
 * fork. What comes back goes on from there, and does not write anew.
 */
#include "support.h"

#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/fs.h"
#include "runtime/log_files.h"
#include "runtime/log_verify.h"
#include "runtime/publisher.h"
#include "runtime/signer.h"
#include "testfs.h"
#include "tlog/leaf.h"

#define LEAVES 800u
#define MARKS_MAX 64

/* Each is a life of the hub: the first tree is published as it begins, the second before it ends. */
static const struct life {
    uint64_t first, second;
} lives[] = {{1, 3}, {200, 256}, {257, 300}, {511, 513}, {513, 520}, {600, 770}};
#define LIVES (sizeof lives / sizeof lives[0])

static char *folder;
static char live[128], cut[128], again[128];

/* ---- the leaves, as a store has them ---- */

static size_t leaf_entry(char text[1 + LEAF_TEXT_CAP], uint64_t n)
{
    struct leaf leaf = {.event = n, .time_ms = 1700000000000 + (int64_t)n};
    memcpy(leaf.kind, "job_submit", 11);
    digest_sha256(leaf.entry.b, &n, sizeof n);
    digest_sha256(leaf.decision.b, leaf.entry.b, 32);
    return leaf_text(text + 1, &leaf);
}

static struct merkle_edge edges[LEAVES + 1];

static void make_edges(void)
{
    for (uint64_t n = 0; n < LEAVES; n++) {
        char text[1 + LEAF_TEXT_CAP];
        struct merkle_hash leaf;
        size_t len = leaf_entry(text, n);
        merkle_leaf(digest_sha256, leaf.b, (uint8_t *)text + 1, len);
        edges[n + 1] = edges[n];
        merkle_edge_add(digest_sha256, &edges[n + 1], &leaf);
    }
}

static int read_leaves(struct store *store, uint64_t from, log_fn *fn, void *ctx, struct err *err)
{
    (void)store;
    (void)err;
    for (uint64_t n = from; n < LEAVES; n++) {
        char text[1 + LEAF_TEXT_CAP];
        uint8_t entry[LEAF_TEXT_CAP + 2];
        size_t len = leaf_entry(text, n);
        struct log_row row = {.first = n, .count = 1, .entries = entry};
        row.entries_len = tile_entry_put(entry, sizeof entry, text + 1, len);
        if (fn(ctx, &row) != 0)
            break;
    }
    return 0;
}

static const struct store_ops leaves_ops = {.log = read_leaves};
static struct store leaves = {&leaves_ops};

/* ---- the signer: a thread in place of the process ---- */

int __real_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to);
int __wrap_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to);
int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
pid_t __wrap_waitpid(pid_t pid, int *status, int options);
ssize_t __real_send(int fd, const void *data, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags);

#define SIGNER_PID (1 << 30)

static pthread_t signer_thread;
static int signer_fd;
static char signer_dir[160];

/* What was let go, and after how many changes. */
static struct mark {
    uint64_t at, size;
} signatures[MARKS_MAX], publications[MARKS_MAX];
static uint32_t nsignatures, npublications;
static struct note_key used_key;
static bool marking;

static void mark(struct mark *marks, uint32_t *n, uint64_t size)
{
    if (!marking)
        return;
    if (*n == MARKS_MAX)
        abort();
    marks[(*n)++] = (struct mark){testfs_count(), size};
}

static uint64_t marked_before(const struct mark *marks, uint32_t n, uint64_t at)
{
    uint64_t size = 0;
    for (uint32_t i = 0; i < n && marks[i].at <= at; i++)
        size = marks[i].size;
    return size;
}

int __wrap_posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to)
{
    signer_fd = fd;
    return __real_posix_spawn_file_actions_adddup2(actions, fd, to);
}

static void *signer_main_thread(void *arg)
{
    (void)arg;
    (void)signer_serve(signer_fd, signer_dir);
    close(signer_fd);
    return NULL;
}

int __wrap_posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
                       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
    (void)path;
    (void)actions;
    (void)attr;
    (void)envp;
    (void)snprintf(signer_dir, sizeof signer_dir, "%s", argv[3]);
    signer_fd = dup(signer_fd);
    *pid = SIGNER_PID;
    return pthread_create(&signer_thread, NULL, signer_main_thread, NULL);
}

pid_t __wrap_waitpid(pid_t pid, int *status, int options)
{
    (void)status;
    (void)options;
    if (pid != SIGNER_PID)
        abort();
    pthread_join(signer_thread, NULL);
    return pid;
}

/* What the signer says: who it is, and what it signed. */
ssize_t __wrap_send(int fd, const void *data, size_t len, int flags)
{
    const char *text = data, *end;
    struct checkpoint point;
    struct note note;
    if (fd == signer_fd && len > 3 && memcmp(text, "ok\n", 3) == 0) {
        if (note_parse(&note, text + 3, len - 3) == 0 &&
            checkpoint_parse(&point, note.text, note.text_len) == 0)
            mark(signatures, &nsignatures, point.size);
        else if ((end = memchr(text + 3, '\n', len - 3)) != NULL)
            (void)note_key_parse(digest_sha256, &used_key, text + 3, (size_t)(end - text) - 3);
    }
    return __real_send(fd, data, len, flags);
}

/* ---- memory that there is not: of all threads but the test's ---- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

static pthread_t test_thread;
static _Atomic uint64_t asked;
static uint64_t refuse_from = UINT64_MAX, refuse_to = UINT64_MAX;

static bool refused(void)
{
    if (pthread_equal(pthread_self(), test_thread))
        return false;
    uint64_t n = ++asked;
    return n >= refuse_from && n < refuse_to;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refused() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
    return refused() ? NULL : __real_realloc(p, size);
}

static void refuse_at(uint64_t n, uint32_t count)
{
    asked = 0;
    refuse_from = n ? n : UINT64_MAX;
    refuse_to = n ? n + count : UINT64_MAX;
}

static uint64_t memory_asked(void)
{
    return asked;
}

/* ---- a life ---- */

static int patience = 10000; /* half milliseconds */

static struct publisher_config config_in(const char *root, char log[160], char keys[160])
{
    (void)snprintf(log, 160, "%s/data/log", root);
    (void)snprintf(keys, 160, "%s/data/signer", root);
    return (struct publisher_config){.self = "busbar", .dir = log, .signer_dir = keys};
}

static const char *check_log(const char *root, uint64_t *size, struct checkpoint *point);

static bool looking;           /* in the middle of a life, too */
static const char *seen_wrong; /* there */

static void look(const char *root)
{
    struct checkpoint point;
    uint64_t size;
    if (looking && used_key.name[0])
        seen_wrong = check_log(root, &size, &point);
}

/* Returns what was published in the end. */
static struct publisher_state live_once(const char *root, const struct life *life)
{
    char log[160], keys[160];
    struct publisher_config config = config_in(root, log, keys);
    struct publisher *p;
    struct err err = {0};
    struct publisher_state state;
    assert_int_equal(publisher_new(&p, &config, &err), 0);
    publisher_grown(p, &edges[life->first]);
    assert_int_equal(publisher_run(p, &leaves, &err), 0);
    /* The second comes when the first is there, or was in vain. */
    for (int i = 0; i < patience && publisher_state(p).published < life->first; i++)
        usleep(500);
    if (publisher_state(p).published == life->first)
        mark(publications, &npublications, life->first);
    look(root);
    publisher_grown(p, &edges[life->second]);
    publisher_stop(p);
    state = publisher_state(p);
    if (state.published == life->second)
        mark(publications, &npublications, life->second);
    publisher_free(p);
    return state;
}

/* ---- what is there ---- */

/* NULL, or what is wrong with the folder; *size is the checkpoint's, 0: there is none. */
static const char *check_log(const char *root, uint64_t *size, struct checkpoint *point)
{
    static char why[512];
    char log[160], keys[160], path[200];
    (void)config_in(root, log, keys);
    struct log_verify config = {.source = {log_source_folder, log}, .key = &used_key};
    struct log_found found = {0};
    struct err err = {0};
    struct merkle_hash root_hash;
    *size = 0;
    (void)snprintf(path, sizeof path, "%s/checkpoint", log);
    if (!fs_exists(path))
        return NULL;
    int rc = log_verify(&config, &found, &err);
    buf_fini(&found.note);
    if (rc != 0) {
        (void)snprintf(why, sizeof why, "the published log is not whole: %.400s", err.msg);
        return why;
    }
    *size = found.point.size;
    *point = found.point;
    if (*size > LEAVES)
        return "the checkpoint is of more leaves than there are";
    merkle_edge_root(digest_sha256, &edges[*size], &root_hash);
    return memcmp(&root_hash, &found.point.root, sizeof root_hash) == 0 ? NULL
                                                                        : "the published tree is another";
}

/* The signer of that folder, asked for a fork of what it signed last. */
static const char *check_signer(const char *root, uint64_t signed_size)
{
    static struct signer_state state;
    char log[160], keys[160], text[CHECKPOINT_TEXT_CAP];
    struct err err = {0};
    (void)config_in(root, log, keys);
    if (signed_size == 0)
        return NULL;
    if (signer_open(&state, keys, &err) != 0)
        return "the signer does not open its files";
    if (strcmp(state.key.name, used_key.name) != 0 || memcmp(&state.key, &used_key, sizeof used_key) != 0)
        return "the signer has another key";
    if (state.head.size < signed_size)
        return "the signer forgot what it signed";
    struct checkpoint fork = state.head;
    fork.root.b[3] ^= 1;
    struct buf message, reply;
    buf_init(&message, SIGNER_MESSAGE_MAX);
    buf_init(&reply, SIGNER_MESSAGE_MAX);
    (void)checkpoint_text(text, &fork);
    buf_addf(&message, "sign\n\n%s", text);
    signer_answer(&state, message.data, message.len, &reply);
    const char *wrong =
        reply.len > 3 && memcmp(reply.data, "no\n", 3) == 0 ? NULL : "the signer signs a fork";
    buf_fini(&message);
    buf_fini(&reply);
    return wrong;
}

/* What power left in `root`, that it was lost after `at` changes, then that it goes on. */
static const char *check_loss(const char *root, uint64_t at, uint64_t told)
{
    struct checkpoint point;
    struct log_files files;
    struct err err = {0};
    uint64_t size, signed_size = marked_before(signatures, nsignatures, at);
    uint64_t published = marked_before(publications, npublications, at);
    const char *wrong = check_log(root, &size, &point);
    if (!wrong && size < published)
        wrong = "what was published is not any more";
    if (!wrong && size > told)
        wrong = "the checkpoint is ahead of what was committed";
    if (!wrong)
        wrong = check_signer(root, signed_size);
    if (wrong)
        return wrong;
    char log[160], keys[160];
    bool anew;
    (void)config_in(root, log, keys);
    bool opened = log_files_open(&files, log, &anew, &err) == 0;
    log_files_fini(&files);
    return opened && !anew ? NULL : "the files have to be written anew";
}

static const char *check_goes_on(const char *root)
{
    const struct life end = {LEAVES - 1, LEAVES};
    struct publisher_state state = live_once(root, &end);
    struct checkpoint point;
    uint64_t size;
    if (state.refused || state.published != LEAVES)
        return "it does not go on";
    const char *wrong = check_log(root, &size, &point);
    return wrong || size == LEAVES ? wrong : "the last checkpoint is not there";
}

/* ---- power loss ---- */

static void empty(const char *dir)
{
    char command[300];
    (void)snprintf(command, sizeof command, "rm -rf '%s' && mkdir '%s'", dir, dir);
    assert_int_equal(system(command), 0);
}

static uint64_t ends[LIVES]; /* changes with each life */

static uint64_t told_at(uint64_t at)
{
    for (size_t i = 0; i < LIVES; i++) {
        if (at <= ends[i])
            return lives[i].second;
    }
    return LEAVES;
}

/* All lives, recorded. */
static void record_lives(void)
{
    empty(live);
    testfs_begin(live);
    nsignatures = npublications = 0;
    marking = true;
    for (size_t i = 0; i < LIVES; i++) {
        struct publisher_state state = live_once(live, &lives[i]);
        assert_int_equal(state.published, lives[i].second);
        ends[i] = testfs_count();
    }
    marking = false;
}

static void test_power_loss(void **state)
{
    (void)state;
    uint64_t seed = test_seed(), chances = test_count(1, 16), losses = 0;
    record_lives();
    uint64_t changes = testfs_count(), stride = test_count(2, 1);
    for (uint64_t n = 0; n <= changes; n += stride) {
        for (uint64_t i = 0; i < chances; i++, losses++) {
            uint64_t random = seed + losses;
            testfs_lose(n, test_random(&random), cut);
            const char *wrong = check_loss(cut, n, told_at(n));
            if (!wrong && (losses % 8 == 0))
                wrong = check_goes_on(cut);
            if (wrong)
                fail_msg("BUSBAR_SEED=%llu, change %llu of %llu: %s", (unsigned long long)seed,
                         (unsigned long long)n, (unsigned long long)changes, wrong);
        }
    }
    testfs_end();
    printf("# log and signer: %llu power losses at %llu changes survived\n", (unsigned long long)losses,
           (unsigned long long)changes);
}

/* The controls: when syncs of files, or of folders, do nothing, this test sees it. */
static void test_controls_lose(void **state)
{
    (void)state;
    static const struct {
        unsigned lie;
        const char *name;
    } controls[] = {{TESTFS_FILES, "files"}, {TESTFS_FOLDERS, "folders"}};
    record_lives();
    uint64_t changes = testfs_count();
    for (size_t c = 0; c < 2; c++) {
        uint32_t found = 0, losses = 0;
        testfs_lie(controls[c].lie);
        for (uint64_t n = 1; n <= changes; n += test_count(16, 1), losses++) {
            testfs_lose(n, 7 + n, cut);
            found += check_loss(cut, n, told_at(n)) != NULL;
        }
        printf("# without syncs of %s: %u of %u losses are seen\n", controls[c].name, found, losses);
        assert_true(found > losses / 4);
    }
    testfs_lie(0);
    testfs_end();
}

/* ---- faults ---- */

static const struct fault {
    const char *name;
    void (*at)(uint64_t n, uint32_t count);
    uint64_t (*seen)(void);
    uint64_t stride;
} faults[] = {{"calls of files", testfs_fail_at, testfs_touched, 11},
              {"memory", refuse_at, memory_asked, 29}};

/* All lives; whatever fails, what lies in the folder is whole, and in the end all is published. */
static uint64_t one_fault(const struct fault *fault, uint64_t n, uint32_t count)
{
    uint64_t size, before = 0;
    struct checkpoint point;
    empty(again);
    testfs_begin(again);
    nsignatures = npublications = 0;
    used_key = (struct note_key){0};
    seen_wrong = NULL;
    marking = looking = true;
    fault->at(n, count);
    patience = n ? 10 : 10000;
    for (size_t i = 0; i < LIVES; i++) {
        struct publisher_state state = live_once(again, &lives[i]);
        uint64_t done = fault->seen();
        const char *wrong = seen_wrong;
        if (!wrong && nsignatures)
            wrong = check_log(again, &size, &point);
        if (!wrong && nsignatures && (size < before || size < state.published))
            wrong = "what was published is not any more";
        if (!wrong && nsignatures)
            wrong = check_signer(again, signatures[nsignatures - 1].size);
        if (!wrong && nsignatures)
            before = size;
        if (!wrong && i + 1 == LIVES && state.published != lives[i].second && done > n + count)
            wrong = "it is not published";
        if (wrong)
            fail_msg("%s fail at %llu for %u, life %zu: %s", fault->name, (unsigned long long)n, count, i,
                     wrong);
    }
    uint64_t seen = fault->seen();
    fault->at(0, 0);
    patience = 10000;
    looking = false;
    const char *wrong = check_goes_on(again);
    marking = false;
    if (wrong)
        fail_msg("%s fail at %llu for %u, then: %s", fault->name, (unsigned long long)n, count, wrong);
    testfs_end();
    return seen;
}

static void test_faults(void **state)
{
    (void)state;
    static const uint32_t counts[] = {1, 60, 3}; /* 60: a life or two, and it cannot mend what it broke */
    for (size_t f = 0; f < sizeof faults / sizeof faults[0]; f++) {
        uint64_t all = one_fault(&faults[f], 0, 0), total = 0;
        for (uint64_t n = 1; n <= all; n += test_count(faults[f].stride, 1), total++)
            (void)one_fault(&faults[f], n, counts[total % 3]);
        printf("# log and signer: %llu faults of %s in %llu survived\n", (unsigned long long)total,
               faults[f].name, (unsigned long long)all);
    }
}

static int begin(void **state)
{
    (void)state;
    folder = test_folder();
    (void)snprintf(live, sizeof live, "%.100s/live", folder);
    (void)snprintf(cut, sizeof cut, "%.100s/cut", folder);
    (void)snprintf(again, sizeof again, "%.100s/again", folder);
    test_thread = pthread_self();
    make_edges();
    return 0;
}

static int end(void **state)
{
    (void)state;
    char command[200];
    (void)snprintf(command, sizeof command, "rm -rf '%.150s'", folder);
    free(folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_power_loss),
        cmocka_unit_test(test_controls_lose),
        cmocka_unit_test(test_faults),
    };
    return cmocka_run_group_tests_name("publish", tests, begin, end);
}
