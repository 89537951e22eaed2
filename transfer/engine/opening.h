/* How a session begins: OPEN at a server, the client's handshake, roots and exports. */
#ifndef HSR_ENGINE_OPENING_H
#define HSR_ENGINE_OPENING_H

#include "transfer/engine/session.h"

/* from session.c */
struct hsr_session *hsr_session_create(struct hsr_shard *home, bool client);
/** Make @conn the control connection. */
void hsr_session_control(struct hsr_session *session, struct hsr_conn *conn);
/** Everything is agreed: make the machine and go. */
int hsr_session_start(struct hsr_session *session);

/** Free a session that never began. */
void hsr_session_abandon(struct hsr_session *session);

/** A frame while OPENING (client): HELLO_ACK, OPEN_ACK; or the answers to LIST. */
int hsr_opening_frame(struct hsr_session *session, const struct hsr_frame *frame,
                      struct hsr_span payload);

#endif
