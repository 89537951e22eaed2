/* What a data connection's socket is set to. Congestion control decides more than most of what we
 * do ourselves: on a path without loss BBR paces by timers and costs twice the CPU of CUBIC, on a
 * long one with loss CUBIC moves next to nothing (docs/TUNING.md has the figures). */
#ifndef HSR_NET_TUNE_H
#define HSR_NET_TUNE_H

#include "transfer/net/link.h"

#define HSR_CONGESTION_SIZE 16 /* with the NUL: TCP_CA_NAME_MAX of Linux */
#define HSR_CONGESTION_AUTO "auto" /* CUBIC where the round trip is short, else the host's */
#define HSR_CONGESTION_SYSTEM "system" /* the host's default, whatever the path */

/** Does this kernel let us use @name? Makes a socket and tries; "", AUTO and SYSTEM always work.
 * For start-up, before there is a loop. 0; -ENOENT: not in this kernel; -EPERM: not for this user;
 * or why there was no socket. */
int hsr_congestion_check(const char *name);

/** Set @link's congestion control, once its handshake has measured a round trip.
 * @param wish        "" is AUTO; one that the kernel refuses leaves what the host has
 * @param ret_in_use  what the kernel says afterwards; "" if it says nothing */
void hsr_link_tune(struct hsr_link *link, const char *wish, char ret_in_use[HSR_CONGESTION_SIZE]);

/** The least round trip of @link so far, in microseconds; 0: not known. */
uint32_t hsr_link_rtt_us(struct hsr_link *link);

/** The CPU on which the packets of @link arrive (SO_INCOMING_CPU), or -1. */
int hsr_link_cpu(struct hsr_link *link);

#endif
