/* SPDX-License-Identifier: Apache-2.0 */
#include "corpus.h"

#include "corpus_words.h"
#include "rng.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>

#define INVENTED_BYTES 16
#define TURNS_MAX 5

/* The words of one story. Every field that a pattern can name is a borrowed string. */
struct story {
    struct rng *rng;
    struct text *out;
    const char *name, *friend, *kind, *fkind, *kind2;
    const char *adj, *thing, *color, *food, *place, *place2, *hobby, *skill, *sad, *glad;
    const char *he, *He, *him, *his, *His;
    char invented_name[INVENTED_BYTES];
    char invented_kind[INVENTED_BYTES];
    char invented_thing[INVENTED_BYTES];
    bool article_pending;
};

static const struct {
    const char *name;
    size_t offset;
} story_slots[] = {
#define SLOT(field) \
    { \
#field, offsetof(struct story, field) \
    }
    SLOT(name),  SLOT(friend), SLOT(kind),  SLOT(fkind),  SLOT(kind2), SLOT(adj),   SLOT(thing),
    SLOT(color), SLOT(food),   SLOT(place), SLOT(place2), SLOT(hobby), SLOT(skill), SLOT(sad),
    SLOT(glad),  SLOT(he),     SLOT(He),    SLOT(him),    SLOT(his),   SLOT(His),
#undef SLOT
};

#define SLOT_COUNT (sizeof(story_slots) / sizeof(story_slots[0]))

/* Slots that a request may name and a plot may lack. */
static const char *const optional_slots[] = {"{friend}", "{fkind}", "{thing}", "{color}"};

#define OPTIONAL_SLOT_COUNT (sizeof(optional_slots) / sizeof(optional_slots[0]))

static const char *pick(struct rng *rng, const char *const *list)
{
    uint32_t count = 0;

    while (list[count] != NULL)
        count++;
    return list[rng_below(rng, count)];
}

static bool chance(struct rng *rng, uint32_t percent)
{
    return rng_below(rng, 100) < percent;
}

/* A pronounceable word of two or three syllables, so that the model must copy rather than recall. */
static const char *invent(struct rng *rng, char out[INVENTED_BYTES], bool capital)
{
    static const char consonants[] = "bdfghjklmnprstvwz";
    static const char vowels[] = "aeiou";
    static const char finals[] = "lnrsmkt";
    uint32_t syllables = 2 + rng_below(rng, 2);
    size_t n = 0;

    for (uint32_t i = 0; i < syllables; i++) {
        out[n++] = consonants[rng_below(rng, sizeof(consonants) - 1)];
        out[n++] = vowels[rng_below(rng, sizeof(vowels) - 1)];
    }
    if (chance(rng, 50))
        out[n++] = finals[rng_below(rng, sizeof(finals) - 1)];
    out[n] = '\0';
    if (capital)
        out[0] = (char)(out[0] - 'a' + 'A');
    return out;
}

static const struct corpus_kind *pick_kind(struct rng *rng)
{
    uint32_t count = 0;

    while (corpus_kinds[count].word != NULL)
        count++;
    return &corpus_kinds[rng_below(rng, count)];
}

static void story_pick_hero(struct story *s)
{
    const struct corpus_kind *kind = pick_kind(s->rng);
    bool female = kind->gender == 'f' || (kind->gender == '*' && chance(s->rng, 50));

    s->kind = chance(s->rng, 12) ? invent(s->rng, s->invented_kind, false) : kind->word;
    s->name = pick(s->rng, female ? corpus_names_f : corpus_names_m);
    if (chance(s->rng, 12))
        s->name = invent(s->rng, s->invented_name, true);
    s->he = female ? "she" : "he";
    s->He = female ? "She" : "He";
    s->him = female ? "her" : "him";
    s->his = female ? "her" : "his";
    s->His = female ? "Her" : "His";
}

static void story_pick_words(struct story *s)
{
    struct rng *rng = s->rng;
    const struct corpus_kind *fkind = pick_kind(rng);
    bool female = fkind->gender == 'f' || (fkind->gender == '*' && chance(rng, 50));

    story_pick_hero(s);
    s->fkind = fkind->word;
    do {
        s->friend = pick(rng, female ? corpus_names_f : corpus_names_m);
    } while (s->friend == s->name);
    s->kind2 = pick_kind(rng)->word;
    s->adj = pick(rng, corpus_adjectives);
    s->thing = chance(rng, 10) ? invent(rng, s->invented_thing, false) : pick(rng, corpus_things);
    s->color = pick(rng, corpus_colors);
    s->food = pick(rng, corpus_foods);
    s->place = pick(rng, corpus_places);
    s->place2 = pick(rng, corpus_places);
    s->hobby = pick(rng, corpus_hobbies);
    s->skill = pick(rng, corpus_skills);
    s->sad = pick(rng, corpus_sad);
    s->glad = pick(rng, corpus_glad);
}

static void emit(struct story *s, const char *bytes, size_t len)
{
    if (len == 0)
        return;
    if (s->article_pending && bytes[0] != ' ') {
        if (strchr("aeiou", bytes[0]) != NULL)
            text_append(s->out, "n", 1);
        text_append(s->out, " ", 1);
        s->article_pending = false;
    } else if (s->article_pending) {
        return; /* the space after "a~" waits until the article is known */
    }
    text_append(s->out, bytes, len);
}

static void emit_slot(struct story *s, const char *name, size_t len)
{
    for (size_t i = 0; i < SLOT_COUNT; i++) {
        const char *value = NULL;

        if (strlen(story_slots[i].name) != len || memcmp(story_slots[i].name, name, len) != 0)
            continue;
        memcpy(&value, (const char *)s + story_slots[i].offset, sizeof(value));
        emit(s, value, strlen(value));
        return;
    }
    assert(false && "a pattern names a slot that does not exist");
}

/* Finds the alternatives of the bracket that opens at `p`; returns the position of its closing bracket. */
static const char *bracket_close(const char *p, const char *end, uint32_t *alternatives)
{
    uint32_t depth = 0;

    *alternatives = 1;
    for (; p < end; p++) {
        if (*p == '[')
            depth++;
        else if (*p == ']' && --depth == 0)
            return p;
        else if (*p == '|' && depth == 1)
            (*alternatives)++;
    }
    assert(false && "a pattern leaves a bracket open");
    return end;
}

/* Narrows [*from, *to) to its alternative number `which`. */
static void bracket_select(const char **from, const char **to, uint32_t which)
{
    const char *p = *from;
    uint32_t depth = 0;

    for (; p < *to; p++) {
        if (*p == '[') {
            depth++;
        } else if (*p == ']') {
            depth--;
        } else if (*p == '|' && depth == 0) {
            if (which == 0)
                break;
            which--;
            *from = p + 1;
        }
    }
    *to = p;
}

/* Recursion is bounded by the nesting of the brackets in corpus_words.c. */
static void expand(struct story *s, const char *p, const char *end)
{
    while (p < end) {
        size_t plain = 0;

        if (*p == '{') {
            const char *close = memchr(p, '}', (size_t)(end - p));

            assert(close != NULL);
            emit_slot(s, p + 1, (size_t)(close - p - 1));
            p = close + 1;
        } else if (*p == '[') {
            uint32_t alternatives = 0;
            const char *close = bracket_close(p, end, &alternatives);
            const char *from = p + 1;
            const char *to = close;

            bracket_select(&from, &to, rng_below(s->rng, alternatives));
            expand(s, from, to);
            p = close + 1;
        } else if (*p == '~') {
            s->article_pending = true;
            p++;
        } else {
            while (p + plain < end && strchr("{[~", p[plain]) == NULL)
                plain++;
            /* one space may wait for its article; what follows it does not */
            if (s->article_pending && *p == ' ')
                plain = 1;
            emit(s, p, plain);
            p += plain;
        }
    }
}

static void expand_string(struct story *s, const char *pattern)
{
    expand(s, pattern, pattern + strlen(pattern));
}

/* A plot that uses every optional slot that `request` names; NULL asks for any plot. */
static const char *pick_plot(struct rng *rng, const char *request)
{
    for (;;) {
        const char *plot = pick(rng, corpus_plots);
        bool fits = true;

        for (size_t i = 0; request != NULL && i < OPTIONAL_SLOT_COUNT; i++)
            if (strstr(request, optional_slots[i]) != NULL && strstr(plot, optional_slots[i]) == NULL)
                fits = false;
        if (fits)
            return plot;
    }
}

static void write_story(struct story *s, const char *request)
{
    bool place_wanted = request != NULL && strstr(request, "{place}") != NULL;
    const char *opening = pick(s->rng, corpus_openings);

    while (place_wanted && strstr(opening, "{place}") == NULL)
        opening = pick(s->rng, corpus_openings);
    expand_string(s, opening);
    if (strstr(opening, "{place}") == NULL)
        expand_string(
            s, "[ {name} lived {place}.| {name} lived {place} and loved to {hobby}.| {He} lived {place}.|]");
    else
        expand_string(s, "[ {He} loved to {hobby}.|]");
    expand_string(s, " ");
    expand_string(s, pick_plot(s->rng, request));
    expand_string(s, " ");
    expand_string(s, pick(s->rng, corpus_endings));
}

static void write_answer(struct story *s)
{
    uint32_t count = 0;
    const struct corpus_answer *answer = NULL;

    while (corpus_answers[count].question != NULL)
        count++;
    answer = &corpus_answers[rng_below(s->rng, count)];
    expand_string(s, CORPUS_MARK_USER);
    expand_string(s, answer->question);
    expand_string(s, CORPUS_MARK_ASSISTANT);
    expand_string(s, answer->answer);
}

static void write_request(struct story *s, const char *request)
{
    expand_string(s, CORPUS_MARK_USER);
    expand_string(s, request);
    expand_string(s, CORPUS_MARK_ASSISTANT);
    if (strstr(request, "{kind}") != NULL && chance(s->rng, 25))
        expand_string(s, "Here is a story about a~ {kind}. ");
    write_story(s, request);
}

static void write_chat(struct story *s)
{
    if (chance(s->rng, 20)) {
        expand_string(s, CORPUS_MARK_SYSTEM);
        expand_string(s, pick(s->rng, corpus_systems));
    }
    if (chance(s->rng, 20))
        write_answer(s);
    else
        write_request(s, pick(s->rng, corpus_requests));
    for (uint32_t turns = 1; turns < TURNS_MAX && chance(s->rng, 25); turns++) {
        expand_string(s, CORPUS_MARK_END);
        story_pick_words(s);
        if (chance(s->rng, 30))
            write_answer(s);
        else
            write_request(s, pick(s->rng, chance(s->rng, 50) ? corpus_requests_again : corpus_requests));
    }
}

int corpus_generate(struct text *out, uint64_t seed, size_t bytes)
{
    struct rng rng = {.state = seed};

    while (out->len < bytes && !out->failed) {
        struct story s = {.rng = &rng, .out = out};

        story_pick_words(&s);
        if (chance(&rng, 65))
            write_chat(&s);
        else
            write_story(&s, NULL);
        text_append(out, "\n\n", 2);
    }
    return out->failed ? -ENOMEM : 0;
}
