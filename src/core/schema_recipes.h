/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What recipes need to be told in events and rows: what a file of weights is built as, and the kinds of chips that a deployment's replicas may
 * be of. Their part of the one schema (core/schema.h tells how fields are named and added).
 */
#ifndef BUSBAR_CORE_SCHEMA_RECIPES_H
#define BUSBAR_CORE_SCHEMA_RECIPES_H

/* clang-format off */

/* general.architecture of a GGUF file; empty: not known. */
#define VARIANT_ARCHITECTURE(F, S) F(S, text, architecture, 32)
/* Beside `chip` and `chips`: a replica may be of so many chips of these kinds instead. The first with 0 chips ends the list; where
 * there are such, `chip` is a kind too. */
#define DEPLOY_KIND(F, S, i) F(S, text, chip##i, CHIP_CAP) F(S, u32, chips##i, 0)
#define DEPLOY_KINDS(F, S) DEPLOY_KIND(F, S, 1) DEPLOY_KIND(F, S, 2) DEPLOY_KIND(F, S, 3)

/* clang-format on */

#endif
