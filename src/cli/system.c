/* SPDX-License-Identifier: Apache-2.0 */
/* Stopping, status, backup, restore, version, completion. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/blob.h"
#include "base/fs.h"
#include "base/str.h"
#include "cli/request.h"

#define STOP_LIMIT_S 60

/* Opens the lock of the data folder; *pid is who holds it, 0 if nobody. -1 when there is no such folder. */
static int open_lock(const struct cli *cli, uint64_t *pid)
{
    char path[FS_PATH_MAX], text[32] = "";
    *pid = 0;
    if (!fs_join(path, cli->data, "lock"))
        return -1;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n > 0)
        (void)u64_parse(text, strcspn(text, "\n"), INT32_MAX, pid);
    return fd;
}

int cli_down(const struct cli *cli)
{
    uint64_t pid;
    int fd = open_lock(cli, &pid);
    if (fd < 0 || pid == 0) {
        fprintf(stderr, "busbar: nothing runs on %s\n", cli->data);
        if (fd >= 0)
            close(fd);
        return CLI_UNREACHABLE;
    }
    int rc = CLI_OK;
    if (kill((pid_t)pid, SIGTERM) < 0) {
        fprintf(stderr, "busbar: cannot stop pid %llu: %s\n", (unsigned long long)pid, strerror(errno));
        rc = CLI_FAILED;
    }
    /* The kernel gives the lock up when the process is gone, however it went. */
    for (int i = 0; rc == CLI_OK && flock(fd, LOCK_EX | LOCK_NB) < 0; i++) {
        if (i == STOP_LIMIT_S * 20) {
            fprintf(stderr, "busbar: pid %llu still runs after %d s\n", (unsigned long long)pid,
                    STOP_LIMIT_S);
            rc = CLI_FAILED;
        }
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    }
    close(fd);
    if (rc == CLI_OK)
        printf("stopped\n");
    return rc;
}

/* A line for each witness of the log. */
static void print_witnesses(yyjson_val *list)
{
    size_t i, max;
    yyjson_val *one;
    yyjson_arr_foreach(list, i, max, one)
    {
        const char *since = yyjson_get_str(yyjson_obj_get(one, "behind_since"));
        const char *error = yyjson_get_str(yyjson_obj_get(one, "error"));
        printf("witness          %s, %llu leaves", yyjson_get_str(yyjson_obj_get(one, "name")),
               (unsigned long long)yyjson_get_uint(yyjson_obj_get(one, "leaves")));
        if (since)
            printf(", BEHIND since %s%s%s", since, error && error[0] ? ": " : "", error ? error : "");
        printf("\n");
    }
}

int cli_status(const struct cli *cli)
{
    static const struct column fields[] = {{"address", "/listen"},
                                           {"ready", "/ready"},
                                           {"version", "/version"},
                                           {"data", "/data"},
                                           {"pid", "/pid"},
                                           {"started", "/started"},
                                           {"engine", "/engine/name"},
                                           {"engine reason", "/engine/reason"},
                                           {"tenants", "/tenants"},
                                           {"keys", "/keys"},
                                           {"models", "/models"},
                                           {"replicas wanted", "/replicas"},
                                           {"replicas ready", "/replicas_ready"},
                                           {"budget leases", "/leases"},
                                           {"journal events", "/journal_events"},
                                           {"commits", "/commits"},
                                           {"failed commits", "/commit_failures"},
                                           {"compute alarms", "/compute_alarms"},
                                           {"chips present", "/chips/present"},
                                           {"chips failed", "/chips/failed"},
                                           {"chip alarms", "/chip_alarms"},
                                           {"mean commit ms", "/commit_mean_ms"},
                                           {"log leaves", "/log/published"}};
    yyjson_doc *doc = NULL;
    int rc = client_call(cli, "GET", "/api/v1/status", NULL, &doc);
    if (rc == CLI_OK)
        rc = print_object(cli, doc, fields, (int)(sizeof fields / sizeof fields[0]));
    if (rc == CLI_OK && !cli->json)
        print_witnesses(yyjson_ptr_get(yyjson_doc_get_root(doc), "/log/witnesses"));
    yyjson_doc_free(doc);
    return rc;
}

int cli_backup(const struct cli *cli)
{
    static const struct column columns[] = {{"BACKUP", "/path"},
                                            {"FILES OF JOBS", "/blobs/files"},
                                            {"BYTES", "/blobs/bytes"},
                                            {"IN IT", "/blobs/included"}};
    char path[FS_PATH_MAX], cwd[FS_PATH_MAX];
    const char *target = cli->args[0];
    struct request r;
    if (target[0] != '/') {
        if (!getcwd(cwd, sizeof cwd) || !fs_join(path, cwd, target)) {
            fprintf(stderr, "busbar: the path is too long\n");
            return CLI_USAGE;
        }
        target = path;
    }
    request_begin(&r);
    request_text(&r, "path", target);
    if (cli_option(cli, "blobs")) {
        request_member(&r, "blobs");
        buf_add_text(&r.body, "true");
    }
    yyjson_doc *doc = NULL;
    int rc = client_call(cli, "POST", "/api/v1/backup", request_body(&r), &doc);
    if (rc == CLI_OK)
        rc = print_table(cli, doc, columns, (int)(sizeof columns / sizeof columns[0]));
    yyjson_val *blobs = yyjson_obj_get(yyjson_doc_get_root(doc), "blobs");
    uint64_t files = yyjson_get_uint(yyjson_obj_get(blobs, "files"));
    if (rc == CLI_OK && files > 0 && !yyjson_get_bool(yyjson_obj_get(blobs, "included")))
        fprintf(stderr,
                "busbar: %llu files that jobs bring along or left are not in it; --blobs takes them\n",
                (unsigned long long)files);
    yyjson_doc_free(doc);
    request_end(&r);
    return rc;
}

struct restoring {
    char from[FS_PATH_MAX], to[FS_PATH_MAX]; /* a tenant's */
    int rc;
    struct err *err;
};

static void restore_blob(void *ctx, const struct blob_info *info)
{
    struct restoring *r = ctx;
    char from[FS_PATH_MAX], to[FS_PATH_MAX];
    if (r->rc == 0)
        r->rc = blob_path(from, r->from, info->name) && blob_path(to, r->to, info->name)
                    ? fs_copy(from, to, r->err)
                    : err_set(r->err, ERR_INVALID, "the path is too long");
}

/* A folder for each tenant; of a backup without them nothing. */
static int restore_blobs(const char *source, const char *data, struct err *err)
{
    char from[FS_PATH_MAX], to[FS_PATH_MAX];
    const struct dirent *entry;
    int rc = 0;
    if (!fs_join(from, source, "blobs") || !fs_join(to, data, "blobs"))
        return err_set(err, ERR_INVALID, "the path is too long");
    DIR *tenants = opendir(from);
    while (tenants && rc == 0 && (entry = readdir(tenants)) != NULL) {
        struct restoring r = {.err = err};
        if (entry->d_name[0] == '.')
            continue;
        rc = fs_join(r.from, from, entry->d_name) && fs_join(r.to, to, entry->d_name)
                 ? fs_mkdirs(r.to, 0700, err)
                 : err_set(err, ERR_INVALID, "the path is too long");
        if (rc == 0)
            rc = blob_each(r.from, restore_blob, &r, err);
        rc = rc ? rc : r.rc;
    }
    if (tenants)
        (void)closedir(tenants);
    return rc;
}

int cli_restore(const struct cli *cli)
{
    struct err err = {0};
    char marker[FS_PATH_MAX], from[FS_PATH_MAX], to[FS_PATH_MAX], models[FS_PATH_MAX], target[FS_PATH_MAX];
    char jobs[FS_PATH_MAX], jobs_target[FS_PATH_MAX];
    const char *source = cli->args[0];
    if (!fs_join(marker, source, "BACKUP") || !fs_join(from, source, "busbar.db") ||
        !fs_join(to, cli->data, "busbar.db") || !fs_join(models, source, "models") ||
        !fs_join(target, cli->data, "models") || !fs_join(jobs, source, "jobs") ||
        !fs_join(jobs_target, cli->data, "jobs")) {
        fprintf(stderr, "busbar: the path is too long\n");
        return CLI_USAGE;
    }
    if (!fs_exists(marker)) {
        fprintf(stderr, "busbar: %s is not a whole backup\n", source);
        return CLI_NOT_FOUND;
    }
    if (fs_exists(to)) {
        fprintf(stderr, "busbar: %s holds data already; restore into a new folder (--data)\n", cli->data);
        return CLI_FAILED;
    }
    int rc = fs_mkdirs(cli->data, 0700, &err);
    if (rc == 0)
        rc = fs_copy_folder(models, target, ".gguf", &err);
    if (rc == 0)
        rc = fs_copy_folder(jobs, jobs_target, ".json", &err);
    if (rc == 0)
        rc = restore_blobs(source, cli->data, &err);
    /* Of a backup from before there were webhooks, it is not there. */
    if (rc == 0 && fs_join(jobs, source, "webhook.key") && fs_join(jobs_target, cli->data, "webhook.key") &&
        fs_exists(jobs))
        rc = fs_copy(jobs, jobs_target, &err);
    if (rc == 0) /* last: a folder with a database is a whole one */
        rc = fs_copy(from, to, &err);
    if (rc != 0) {
        fprintf(stderr, "busbar: %s\n", err.msg);
        return CLI_FAILED;
    }
    printf("restored  %s\n", cli->data);
    return CLI_OK;
}

int cli_version(const struct cli *cli)
{
    if (cli->json)
        printf("{\"version\":\"%s\"}\n", BUSBAR_VERSION);
    else
        printf("busbar %s\n", BUSBAR_VERSION);
    return CLI_OK;
}

/* Words for bash, straight from the table of verbs. */
/* The second words of the verbs that begin as this one does; the last of them. */
static const struct verb *print_group(const struct verb *v)
{
    const size_t first = strcspn(v->name, " ");
    if (v->name[first] == 0)
        return v;
    printf("       %.*s) [ \"$COMP_CWORD\" = 2 ] && words=\"%s", (int)first, v->name, v->name + first + 1);
    while (v[1].name && strncmp(v[1].name, v->name, first + 1) == 0)
        printf(" %s", (++v)->name + first + 1);
    printf("\" ;;\n");
    return v;
}

int cli_completion(const struct cli *cli)
{
    (void)cli;
    printf("_busbar() {\n    local words cur=${COMP_WORDS[COMP_CWORD]}\n"
           "    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n");
    for (const struct verb *v = cli_verbs; v->name; v++) {
        printf("    \"%s%s\") words=\"--data --hub --key --json --help", v->name,
               strchr(v->name, ' ') ? "" : " \"*\"");
        for (const char *p = v->options; *p;) {
            printf(" --%.*s", (int)strcspn(p, "= "), p);
            p += strcspn(p, " ");
            p += strspn(p, " ");
        }
        printf("\" ;;\n");
    }
    printf("    *) words=\"");
    for (const struct verb *v = cli_verbs; v->name; v++)
        printf("%s%.*s", v == cli_verbs ? "" : " ", (int)strcspn(v->name, " "), v->name);
    printf("\"\n       case ${COMP_WORDS[1]} in\n");
    for (const struct verb *v = cli_verbs; v->name; v++)
        v = print_group(v);
    printf("       esac ;;\n    esac\n"
           "    mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n}\n"
           "complete -o default -F _busbar busbar\n");
    return CLI_OK;
}
