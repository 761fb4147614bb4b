/* SPDX-License-Identifier: Apache-2.0 */
/* What of a text that is still being written can be shown: not the beginning of a character, nor of what would end it. Pure. */
#ifndef BUSBAR_REF_TEXT_H
#define BUSBAR_REF_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Where the first of the stops begins that ends after `before` bytes; len: there is none. */
size_t text_find_stop(const char *text, size_t len, size_t before, const char *const *stops, uint32_t n);
/* Bytes at the end that must wait: a character that is not whole yet, or what may become a stop. */
size_t text_held(const char *text, size_t len, const char *const *stops, uint32_t n);

#endif
