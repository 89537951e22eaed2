/* LIST at a server: walks one level (or one path) and sends it as pages. */
#ifndef HSR_ENGINE_LISTING_H
#define HSR_ENGINE_LISTING_H

#include "transfer/engine/conn.h"

/** LIST came on @conn (CHOOSING or LISTING). @return 0, or the code to reject with. */
int hsr_listing_start(struct hsr_conn *conn, const struct hsr_list_request *request);
/** Go on; from conn->on_writable or the listing's task. */
void hsr_listing_step(struct hsr_conn *conn);
void hsr_listing_destroy(struct hsr_conn *conn);

#endif
