/* SPDX-License-Identifier: Apache-2.0 */
/* Reason phrases of RFC 9110 section 15. */
#ifndef BUSBAR_NET_HTTP_STATUS_H
#define BUSBAR_NET_HTTP_STATUS_H

/* "Unknown" for a status that is not in the table. */
const char *http_status_text(int status);

#endif
