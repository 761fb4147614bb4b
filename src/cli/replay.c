/* SPDX-License-Identifier: Apache-2.0 */
/* Replaying the journal of a hub that does not run, or of a backup. Nothing in its folder is changed. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/fs.h"
#include "base/str.h"
#include "cli/audit.h"
#include "cli/client.h"
#include "runtime/replay.h"

/* A database in a folder. False after a message, with the exit status in *rc. */
static bool find_database(char path[FS_PATH_MAX], const char *dir, int *rc)
{
    if (!fs_join(path, dir, "busbar.db")) {
        fprintf(stderr, "busbar: the path is too long\n");
        *rc = CLI_USAGE;
    } else if (!fs_exists(path)) {
        fprintf(stderr, "busbar: %s has no busbar.db: it is no data folder and no backup\n", dir);
        *rc = CLI_NOT_FOUND;
    } else {
        return true;
    }
    return false;
}

/* Keeps a hub from being started on the folder; *fd is -1 where it has no lock, as a backup. False: one runs. */
static bool lock_data(const char *dir, int *fd)
{
    char path[FS_PATH_MAX];
    *fd = fs_join(path, dir, "lock") ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (*fd < 0 || flock(*fd, LOCK_SH | LOCK_NB) == 0)
        return true;
    close(*fd);
    fprintf(stderr, "busbar: a hub runs on %s: stop it, or make a backup and replay that\n", dir);
    return false;
}

static bool make_scratch(char path[FS_PATH_MAX])
{
    const char *tmp = getenv("TMPDIR");
    if (fs_join(path, tmp && tmp[0] == '/' ? tmp : "/tmp", "busbar-replay-XXXXXX") && mkdtemp(path))
        return true;
    fprintf(stderr, "busbar: cannot make a folder for what is made anew; TMPDIR names where\n");
    return false;
}

/* Only files are in it, the database's. */
static void drop_scratch(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    char name[FS_PATH_MAX];
    while (dir && (entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.' && fs_join(name, path, entry->d_name))
            (void)unlink(name);
    }
    if (dir)
        (void)closedir(dir);
    (void)rmdir(path);
}

static void tell(void *ctx, uint64_t events, uint64_t total)
{
    int *last = ctx;
    int percent = total ? (int)(events * 100 / total) : 100;
    if (percent == *last)
        return;
    *last = percent;
    fprintf(stderr, "\r%llu of %llu events%s", (unsigned long long)events, (unsigned long long)total,
            events == total ? "\n" : "");
}

static void add_pair(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, ",\"%s\":", name);
    buf_add_json(out, value, strlen(value));
}

static int print_found(const struct cli *cli, const struct replay_found *found)
{
    static const struct column fields[] = {{"result", "/result"},          {"first event", "/first"},
                                           {"events", "/events"},          {"leaves", "/leaves"},
                                           {"states", "/states"},          {"hub starts", "/starts"},
                                           {"version", "/version"},        {"tree", "/tree"},
                                           {"its root", "/root"},          {"checkpoint", "/checkpoint"},
                                           {"differs at event", "/event"}, {"kind or row", "/kind"},
                                           {"what differs", "/what"},      {"the data has", "/kept"},
                                           {"replay has", "/made"}};
    struct buf out;
    buf_init(&out, 65536);
    buf_addf(
        &out,
        "{\"result\":\"%s\",\"first\":%llu,\"events\":%llu,\"leaves\":%llu,\"states\":%llu,\"starts\":%llu",
        found->differs  ? "differs"
        : found->no_log ? "no log was compared"
                        : "the same",
        (unsigned long long)found->first, (unsigned long long)found->events,
        (unsigned long long)found->leaves, (unsigned long long)found->states,
        (unsigned long long)found->boots);
    add_pair(&out, "version", found->version);
    add_pair(&out, "program", BUSBAR_VERSION);
    buf_addf(&out, ",\"tree\":%llu,\"root\":\"%s\",\"checkpoint\":%llu", (unsigned long long)found->tree,
             found->root, (unsigned long long)found->checkpoint);
    if (found->differs && found->at_event)
        buf_addf(&out, ",\"event\":%llu,\"time_ms\":%lld", (unsigned long long)found->event,
                 (long long)found->event_ms);
    if (found->differs) {
        add_pair(&out, "kind", found->kind);
        add_pair(&out, "what", found->what);
        add_pair(&out, "kept", found->kept);
        add_pair(&out, "made", found->made);
    }
    buf_add_char(&out, '}');
    yyjson_doc *doc = out.failed ? NULL : yyjson_read(out.data, out.len, 0);
    int rc = doc ? print_object(cli, doc, fields, found->differs ? 15 : 10) : CLI_FAILED;
    yyjson_doc_free(doc);
    buf_fini(&out);
    return rc;
}

static int replay(const struct cli *cli, struct replay *config)
{
    struct replay_found found;
    struct err err = {0};
    int last = -1;
    if (isatty(STDERR_FILENO)) {
        config->progress = tell;
        config->ctx = &last;
    }
    int rc = replay_run(config, &found, &err);
    if (rc != 0) {
        fprintf(stderr, "busbar: %s\n", err.msg[0] ? err.msg : err_text(rc));
        return audit_status(rc);
    }
    rc = print_found(cli, &found);
    if (found.differs && strcmp(found.version, BUSBAR_VERSION) != 0)
        fprintf(stderr, "busbar: version %s decided that, and this is %s: replay with the same one\n",
                found.version, BUSBAR_VERSION);
    if (found.no_log)
        fprintf(stderr, "busbar: no log was compared: the data has none of the leaves that its events had\n");
    return found.differs || found.no_log ? CLI_FAILED : rc;
}

int cli_audit_replay(const struct cli *cli)
{
    char database[FS_PATH_MAX], from[FS_PATH_MAX], scratch[FS_PATH_MAX], log[FS_PATH_MAX], point[FS_PATH_MAX];
    const char *dir = cli->nargs > 0 ? cli->args[0] : cli->data, *older = cli_option(cli, "from");
    struct replay config = {.database = database, .scratch = scratch, .limits = limits_default()};
    int rc = CLI_FAILED, lock;
    if (!find_database(database, dir, &rc) || (older && !find_database(from, older, &rc)))
        return rc;
    config.from = older ? from : NULL;
    if (fs_join(log, dir, "log") && fs_join(point, log, "checkpoint") && fs_exists(point))
        config.log = log;
    if (!lock_data(dir, &lock))
        return CLI_FAILED;
    if (make_scratch(scratch)) {
        rc = replay(cli, &config);
        drop_scratch(scratch);
    }
    if (lock >= 0)
        close(lock);
    return rc;
}
