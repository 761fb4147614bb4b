/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The grammar of the training text, as data.
 *
 * A pattern is plain text with three marks. {slot} is replaced by the story's word for that slot (corpus.c has the
 * list). [one|two|three] is replaced by one alternative, at random, and may be nested; an alternative may be empty.
 * A tilde after "a" becomes "n" when the next letter is a vowel: "a~ {adj} {kind}" gives "an old fox".
 *
 * Every list ends with a NULL (or a zeroed) entry and lives for ever.
 */
#ifndef TRAIN_CORPUS_WORDS_H
#define TRAIN_CORPUS_WORDS_H

/* gender: 'f', 'm', or '*' when the name decides. */
struct corpus_kind {
    const char *word;
    char gender;
};

struct corpus_answer {
    const char *question;
    const char *answer;
};

extern const struct corpus_kind corpus_kinds[];
extern const char *const corpus_names_f[];
extern const char *const corpus_names_m[];
extern const char *const corpus_adjectives[];
extern const char *const corpus_things[];
extern const char *const corpus_colors[];
extern const char *const corpus_foods[];
extern const char *const corpus_places[];
extern const char *const corpus_hobbies[];
extern const char *const corpus_skills[];
extern const char *const corpus_sad[];
extern const char *const corpus_glad[];
extern const char *const corpus_openings[];
extern const char *const corpus_plots[];
extern const char *const corpus_endings[];
extern const char *const corpus_requests[];
extern const char *const corpus_requests_again[];
extern const char *const corpus_systems[];
extern const struct corpus_answer corpus_answers[];

#endif
