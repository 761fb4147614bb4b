/* SPDX-License-Identifier: Apache-2.0 */
#include "accept/speed.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/rng.h"

#define PROMPT_KEEP 8u  /* tokens of what is begun with */
#define ANSWER_MAX 128u /* tokens of a request */
#define READ_MAX 256u   /* tokens of a prompt that is read */
#define THREADS_MAX 256u
#define SPARE 4u /* tokens of a context that are left alone */

int speed_listener(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred peer = {0};
    socklen_t len = sizeof peer;
    if (path[0] == 0 || strlen(path) >= sizeof address.sun_path)
        return 0;
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (const struct sockaddr *)&address, sizeof address) < 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        peer.pid = 0;
    if (fd >= 0)
        (void)close(fd);
    return peer.pid == getppid() ? 0
                                 : peer.pid; /* the hub's own end of a tunnel tells nothing of the engine */
}

struct thread_time {
    int id;
    uint64_t ran_ns, waited_ns;
};

/* Of a process's threads; n is 0 where they cannot be had. */
struct times {
    uint32_t n;
    struct thread_time thread[THREADS_MAX];
};

static void take_times(struct times *times, int pid)
{
    char path[320];
    times->n = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *dir = pid > 0 ? opendir(path) : NULL;
    struct dirent *entry;
    while (dir && times->n < THREADS_MAX && (entry = readdir(dir)) != NULL) {
        unsigned long long ran, waits;
        (void)snprintf(path, sizeof path, "/proc/%d/task/%.200s/schedstat", pid, entry->d_name);
        FILE *file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        if (file && fscanf(file, "%llu %llu", &ran, &waits) == 2)
            times->thread[times->n++] =
                (struct thread_time){(int)strtol(entry->d_name, NULL, 10), ran, waits};
        if (file)
            (void)fclose(file);
    }
    if (dir)
        (void)closedir(dir);
}

/* What of `ns` of the wall clock was the engine's: without what its busiest thread waited for a processor, and with one request at a
 * time the next one too, which reads it and sends the answer; all of it, where nothing is known of its threads. Others sleep, and
 * what they wait when a signal wakes them is in nobody's way. */
static uint64_t own_ns(uint64_t ns, const struct times *from, const struct times *to, bool single)
{
    struct thread_time most = {0}, next = {0};
    for (uint32_t i = 0; i < to->n; i++) {
        struct thread_time t = to->thread[i], f = {0}; /* one that is new */
        for (uint32_t k = 0; k < from->n; k++)
            f = from->thread[k].id == t.id ? from->thread[k] : f;
        t.ran_ns -= f.ran_ns;
        t.waited_ns -= f.waited_ns;
        if (t.ran_ns > most.ran_ns) {
            next = most;
            most = t;
        } else if (t.ran_ns > next.ran_ns) {
            next = t;
        }
    }
    uint64_t ran = most.ran_ns, waits = most.waited_ns + (single ? next.waited_ns : 0);
    uint64_t rest = waits < ns ? ns - waits : 0;
    return rest > ran ? rest : ran > 0 && ran < ns ? ran : ns;
}

/* For how long this thread was ready to run and did not, up to now; 0 where that cannot be had. */
static uint64_t waited_ns(void)
{
    unsigned long long ran, waits = 0;
    FILE *file = fopen("/proc/thread-self/schedstat", "re");
    if (file && fscanf(file, "%llu %llu", &ran, &waits) != 2)
        waits = 0;
    if (file)
        (void)fclose(file);
    return waits;
}

/* Asks; *ns is without what we waited ourselves for a processor, when all was there. */
static int ask_timed(const struct asker *asker, const struct ask_text *text, struct ask_result *result,
                     uint32_t n, uint64_t *ns, struct err *err)
{
    uint64_t before = waited_ns();
    int rc = ask_all(asker, text, result, n, ns, err);
    uint64_t own = waited_ns() - before, most = *ns / 4 * 3;
    *ns -= own < most ? own : most;
    return rc;
}

struct window {
    const struct asker *asker;
    const struct speed_plan *plan;
    int pid;
    uint32_t n; /* requests at a time */
};

static int ask_n(const struct window *w, uint32_t tokens, uint64_t *ns, struct err *err)
{
    const struct speed_plan *p = w->plan;
    struct ask_text text[ASK_AT_ONCE_MAX];
    struct ask_result result[ASK_AT_ONCE_MAX] = {0};
    for (uint32_t i = 0; i < w->n; i++)
        text[i] = (struct ask_text){.prompt = p->prompt,
                                    .nprompt = p->nprompt < PROMPT_KEEP ? p->nprompt : PROMPT_KEEP,
                                    .max_tokens = tokens,
                                    .ignores_end = true};
    return ask_timed(w->asker, text, result, w->n, ns, err);
}

/* Thousandths of a token a second of one window. Answers are as long as fits, or as takes a quarter of the window. */
static int measure(const struct window *w, uint64_t *out, struct err *err)
{
    const struct speed_plan *p = w->plan;
    const uint64_t window_ns = p->window_ms * UINT64_C(1000000);
    uint32_t room = p->context > PROMPT_KEEP + SPARE ? p->context - PROMPT_KEEP - SPARE : 1;
    uint32_t most = room < ANSWER_MAX ? room : ANSWER_MAX, each = most < 8 ? most : 8, tokens = 0;
    uint64_t spent = 0, ns = 0;
    struct times from, to;
    take_times(&from, w->pid);
    while (spent < window_ns) {
        int rc = ask_n(w, each, &ns, err);
        if (rc != 0)
            return rc;
        spent += ns;
        tokens += each * w->n;
        if (ns >= window_ns / 4 || each == most)
            continue;
        each = 2 * each < most ? 2 * each : most;
        spent = tokens = 0;
        take_times(&from, w->pid);
    }
    take_times(&to, w->pid);
    ns = own_ns(spent, &from, &to, w->n == 1);
    *out = ns > 0 ? (uint64_t)((double)tokens * 1e12 / (double)ns) : 0;
    return 0;
}

int speed_write(struct speeds *s, const struct asker *asker, const struct speed_plan *plan, struct err *err)
{
    struct window w = {.asker = asker, .plan = plan, .pid = speed_listener(asker->socket)};
    uint32_t batch = plan->slots < ASK_AT_ONCE_MAX ? plan->slots : ASK_AT_ONCE_MAX;
    s->batch = batch > 0 ? batch : 1;
    for (uint32_t i = 0; i < plan->rounds; i++) {
        uint64_t one = 0, many = 0;
        w.n = 1;
        int rc = measure(&w, &one, err);
        w.n = s->batch;
        if (rc == 0 && s->batch > 1)
            rc = measure(&w, &many, err);
        if (rc != 0)
            return rc;
        s->one = one > s->one ? one : s->one;
        many = s->batch > 1 ? many : one;
        s->many = many > s->many ? many : s->many;
    }
    return 0;
}

/* Prompts that nobody has read before, so that none is kept. */
int speed_read(struct speeds *s, const struct asker *asker, const struct speed_plan *plan, struct err *err)
{
    uint32_t prompt[READ_MAX];
    uint32_t n = plan->context / 2 < READ_MAX ? plan->context / 2 : READ_MAX;
    struct rng rng;
    int pid = speed_listener(asker->socket);
    rng_init(&rng, plan->seed);
    for (uint32_t k = 0; k < plan->rounds && n > 0; k++) {
        struct ask_text text = {.prompt = prompt, .nprompt = n, .max_tokens = 1};
        struct ask_result result = {0};
        uint64_t ns;
        for (uint32_t i = 0; i < n; i++)
            prompt[i] = plan->prompt[rng_next(&rng) % plan->nprompt];
        struct times from, to;
        take_times(&from, pid);
        int rc = ask_timed(asker, &text, &result, 1, &ns, err);
        if (rc != 0)
            return rc;
        take_times(&to, pid);
        ns = own_ns(ns, &from, &to, true);
        uint64_t read = ns > 0 ? (uint64_t)((double)n * 1e12 / (double)ns) : 0;
        s->read = read > s->read ? read : s->read;
    }
    return 0;
}
