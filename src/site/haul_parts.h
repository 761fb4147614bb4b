/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the haul (site/haul.h), for its files: an epoch on its way in or out, and what both ways share. */
#ifndef BUSBAR_SITE_HAUL_PARTS_H
#define BUSBAR_SITE_HAUL_PARTS_H

#include "base/list.h"
#include "engine/data.h"
#include "site/haul.h"

enum haul_state {
    HAUL_ASK,    /* which checkpoint it starts from */
    HAUL_FETCH,  /* files come */
    HAUL_LAY,    /* a thread lays them into its folder */
    HAUL_READY,  /* they are there, until it is submitted */
    HAUL_FAILED, /* they cannot be brought */
    HAUL_LOOK,   /* over: its folder is to be looked through */
    HAUL_KEEP,   /* a thread does */
    HAUL_SEND,   /* the hub is asked how much of a file it has, and sent more */
    HAUL_READ,   /* a thread reads a piece */
    HAUL_TELL,   /* all is there: what was kept is told */
    HAUL_SETTLED,
};

struct want {
    struct item *item;
    struct cache_want *want;
    bool here;
};

struct item {
    struct list node;
    struct haul *haul;
    struct job_id id;
    enum haul_state state;
    bool checkpoint; /* it starts from one, if there is one */
    bool dropped;    /* freed when the thread is done with it */
    uint64_t next_ms;
    struct job_blob *inputs;
    uint32_t inputs_count;
    struct data_list prior;
    struct cache_pace pace;
    struct want *wants; /* of inputs, then of the checkpoint's files */
    uint32_t nwants, nhere;
    struct data_staged staged;
    /* of an end */
    struct data_kept kept;
    bool wanted;
    uint32_t file;   /* that is sent: outputs, then the checkpoint's */
    uint64_t offset; /* of it the hub has */
    struct buf piece;
    /* of the thread */
    uv_work_t work;
    struct err err;
};

/* Of an epoch that is not begun yet. */
struct grant {
    struct list node;
    struct job_id id;
    uint64_t bits_s;
};

struct haul {
    struct haul_config config;
    struct list grants;
    struct link *link;
    struct list items;
    struct item *busy; /* that the call is about; NULL: it has been dropped, or there is none */
    uv_timer_t timer;
    bool closed;
};

void haul_pump(struct haul *haul);
/* That state, but not before a while. */
void haul_later(struct item *item, enum haul_state state);
void haul_log(const char *event, const struct item *item, const char *words);
/* Runs `work` on a thread, then `after` on the loop. */
void haul_thread(struct item *item, enum haul_state state, uv_work_cb work, uv_after_work_cb after);
/* For `after`, first. False: it was dropped meanwhile, and is gone. */
bool haul_thread_done(struct item *item);
/* "WORK/<job>/<epoch>/<name>" */
void haul_folder(const struct item *item, const char *name, char path[FS_PATH_MAX]);

/* Of a call that ended: whether it went well; the item that it was about, NULL: that is wanted no more. */
bool haul_reached(struct haul *haul, const struct err *err);
struct item *haul_finished(struct haul *haul);
/* "{"job":...,"epoch":..." without the closing brace. */
void haul_add_id(struct buf *out, const struct item *item);

/* site/haul_end.c: looks through the folder of one that is over; a piece of a file; what was kept. */
void haul_keep(struct item *item);
void haul_send(struct item *item);
void haul_tell(struct item *item);

#endif
