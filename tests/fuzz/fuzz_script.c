/* SPDX-License-Identifier: Apache-2.0 */
/* Scripts from any bytes: refused with words, or options that are texts of the script, which times are then read from. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/timetext.h"
#include "cli/job_script.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void check_words(const struct script *script, const struct script_words *words)
{
    assert(words->n <= SCRIPT_WORDS_MAX && script->used <= SCRIPT_TEXT_MAX);
    for (uint32_t i = 0; i < words->n; i++) {
        const char *word = words->word[i];
        uint64_t seconds = 0;
        int64_t ms = 0;
        assert(word >= script->text && word + strlen(word) < script->text + script->used);
        if (span_parse_slurm(word, strlen(word), &seconds))
            assert(seconds > 0 && seconds <= SPAN_S_MAX);
        (void)moment_parse(word, strlen(word), 0, &ms);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    static struct script script, again;
    struct err err = {0};
    int rc = script_read(&script, (const char *)data, size, &err);
    assert((rc != 0) == (err.msg[0] != 0));
    if (rc != 0)
        return 0;
    check_words(&script, &script.options);
    check_words(&script, &script.ignored);
    assert(script_read(&again, (const char *)data, size, &err) == 0 && again.options.n == script.options.n);
    return 0;
}
