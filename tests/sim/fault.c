/* What goes wrong, and when. Every operation, called or submitted, counts once when it is issued; a
 * fault is decided then. */
#include <errno.h>
#include <stdlib.h>

#include "tests/sim/world.h"

#define ERRORS_MAX 8u

/* What each kind can return, by its man page; what would only say "there is none of that here"
 * (ENODATA, EOPNOTSUPP of a whole file system) is left out where it is no failure. */
static const int fault_errors[HSR_OP_COUNT][ERRORS_MAX] = {
    [HSR_OP_SOCKET] = { EMFILE, ENOBUFS },
    [HSR_OP_SOCKOPT] = { ENOPROTOOPT },
    [HSR_OP_ACCEPT] = { EMFILE, ECONNABORTED, ENOMEM },
    [HSR_OP_CONNECT] = { ECONNREFUSED, ETIMEDOUT, ENETUNREACH },
    [HSR_OP_SEND] = { EPIPE, ECONNRESET, ETIMEDOUT, ENOMEM },
    [HSR_OP_SEND_ZC] = { EPIPE, ECONNRESET, ETIMEDOUT, ENOMEM, EOPNOTSUPP },
    [HSR_OP_RECV] = { ECONNRESET, ETIMEDOUT, ENOMEM },
    [HSR_OP_RECVMSG] = { ECONNRESET, ETIMEDOUT, ENOMEM },
    [HSR_OP_SHUTDOWN] = { ENOTCONN },
    [HSR_OP_POLL] = { ENOMEM },
    [HSR_OP_READ] = { EIO, ENOMEM, ESTALE },
    [HSR_OP_WRITE] = { ENOSPC, EIO, EDQUOT },
    [HSR_OP_FSYNC] = { EIO, ENOSPC },
    [HSR_OP_SYNCFS] = { EIO, ENOSPC },
    [HSR_OP_FALLOCATE] = { ENOSPC, EOPNOTSUPP, EIO },
    [HSR_OP_FTRUNCATE] = { EIO, EFBIG },
    [HSR_OP_LSEEK] = { EIO, EINVAL },
    [HSR_OP_FADVISE] = { EINVAL },
    [HSR_OP_SETFL] = { EINVAL, EPERM },
    [HSR_OP_CACHESTAT] = { ENOSYS, EOPNOTSUPP },
    [HSR_OP_CLONE] = { EOPNOTSUPP, ENOSPC, EXDEV },
    [HSR_OP_HUGE] = { EINVAL, ENOMEM, EAGAIN },
    [HSR_OP_CLOSE] = { EIO, EINTR },
    [HSR_OP_OPENAT2] = { EACCES, EMFILE, ENOENT, ENOSPC, EIO, ENOMEM, EAGAIN },
    [HSR_OP_STATX] = { EIO, EACCES, ENOMEM },
    [HSR_OP_GETDENTS] = { EIO, ENOMEM },
    [HSR_OP_READLINK] = { EIO, EACCES },
    [HSR_OP_MKDIR] = { EACCES, ENOSPC, EIO, EMLINK },
    [HSR_OP_UNLINK] = { EACCES, EIO, EBUSY },
    [HSR_OP_RENAME] = { EACCES, ENOSPC, EIO, EBUSY },
    [HSR_OP_LINK] = { EMLINK, ENOSPC, EIO, EPERM },
    [HSR_OP_SYMLINK] = { EACCES, ENOSPC, EIO },
    [HSR_OP_MKNOD] = { EPERM, ENOSPC, EIO },
    [HSR_OP_CHMOD] = { EPERM, EIO, EROFS },
    [HSR_OP_CHOWN] = { EIO, EROFS, EDQUOT },
    [HSR_OP_UTIMENS] = { EPERM, EIO, EROFS },
    [HSR_OP_LISTXATTR] = { EIO, ENOMEM, E2BIG },
    [HSR_OP_GETXATTR] = { EIO, ENOMEM },
    [HSR_OP_SETXATTR] = { ENOSPC, EIO, EDQUOT },
    [HSR_OP_REMOVEXATTR] = { EIO, EPERM },
    [HSR_OP_FLOCK] = { ENOLCK },
    [HSR_OP_STATFS] = { EIO },
};

const int *sim_fault_errors(enum hsr_op_kind kind)
{
    hsr_assert(kind < HSR_OP_COUNT);
    hsr_assert(fault_errors[kind][ERRORS_MAX - 1] == 0);
    return fault_errors[kind];
}

bool sim_fault_cuttable(enum hsr_op_kind kind)
{
    return kind == HSR_OP_READ || kind == HSR_OP_WRITE || kind == HSR_OP_SEND ||
           kind == HSR_OP_SEND_ZC || kind == HSR_OP_RECV || kind == HSR_OP_RECVMSG ||
           kind == HSR_OP_GETDENTS;
}

bool sim_fault_endable(enum hsr_op_kind kind)
{
    return kind == HSR_OP_READ || kind == HSR_OP_RECV || kind == HSR_OP_RECVMSG;
}

static bool wait_all(const struct hsr_op *op)
{
    return op->kind >= HSR_OP_ACCEPT && op->kind <= HSR_OP_POLL &&
           (op->msg_flags & MSG_WAITALL) != 0 && op->kind != HSR_OP_SHUTDOWN;
}

/* A count that was promised whole is short only when the stream ended. */
static bool cut_allowed(const struct hsr_op *op, uint64_t cut)
{
    uint64_t size = op->size;

    if (!sim_fault_cuttable(op->kind) || wait_all(op))
        return false;
    for (unsigned i = 0; op->kind == HSR_OP_RECVMSG && i < op->iov_count; i++)
        size += op->iov[i].iov_len;
    return size > cut;
}

static void fault_directed(struct sim_world *world, unsigned host, const struct hsr_op *op,
                           struct sim_pending *pending)
{
    struct sim_fault *fault = &world->fault;

    if (fault->nth == 0 || (fault->kind != SIM_ANY && fault->kind != op->kind) ||
        (fault->host != SIM_ANY && fault->host != (int)host) || ++fault->seen != fault->nth)
        return;
    if (fault->error != 0)
        pending->error = fault->error;
    else if (fault->end && sim_fault_endable(op->kind))
        pending->ended = true;
    else if (fault->flip && op->kind == HSR_OP_READ)
        pending->flip = true;
    else if (fault->cut != 0 && cut_allowed(op, fault->cut))
        pending->cut = fault->cut;
    else
        return;
    fault->fired++;
    fault->fired_kind = op->kind;
}

static void fault_swarm(struct sim_world *world, const struct hsr_op *op,
                        struct sim_pending *pending)
{
    const int *errors = sim_fault_errors(op->kind);
    unsigned count = 0;
    uint64_t pick;

    if (sim_between(world, 0, 999999) >= world->swarm_ppm)
        return;
    while (errors[count] != 0)
        count++;
    if (count == 0)
        return;
    pick = sim_between(world, 0, 2ull * count - 1);
    if (pick < count)
        pending->error = errors[pick];
    else if (cut_allowed(op, 7))
        pending->cut = sim_between(world, 1, 7);
    else
        return;
    world->swarm_fired++;
}

void sim_fault_decide(struct sim_world *world, unsigned host, const struct hsr_op *op,
                      bool submitted, struct sim_pending *pending)
{
    if (world->records != NULL) {
        if (world->record_count == world->record_room) {
            world->record_room *= 2;
            world->records = realloc(world->records, world->record_room * sizeof(*world->records));
            hsr_assert(world->records != NULL);
        }
        hsr_assert(world->record_count == world->op_count);
        world->records[world->record_count++] = (struct sim_op_record){ .kind = op->kind,
                                                                        .host = (uint8_t)host,
                                                                        .submitted = submitted,
                                                                        .wait_all = wait_all(op) };
    }
    world->op_count++;
    if (world->op_count == world->trouble_nth)
        world->trouble(world->trouble_context, world->trouble_what);
    if (world->faults_off || op->kind == HSR_OP_NOP)
        return;
    fault_directed(world, host, op, pending);
    if (world->swarm_ppm != 0 && pending->error == 0 && !pending->ended && pending->cut == 0)
        fault_swarm(world, op, pending);
}

void sim_fault_record(struct sim_world *world, uint64_t index, int64_t res)
{
    if (world->records != NULL)
        world->records[index].res = res;
}
