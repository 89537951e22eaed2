/* Trees of a simulated host written to a real directory, and a real directory read back into it:
 * so that the same checks judge both. Failures of the machine abort. */
#ifndef HSR_SIM_MIRROR_H
#define HSR_SIM_MIRROR_H

#include "tests/sim/tree.h"

/** Make at @folder (an existing directory) what @host has below @path, which is a directory.
 * @return 0, or -errno of what this file system or user cannot have: xattrs, devices */
int sim_mirror_out(struct sim_host *host, const char *path, const char *folder);

/** Below @path of @host (an existing directory) is then what lies in @folder, and nothing else. */
void sim_mirror_in(struct sim_host *host, const char *path, const char *folder);

/** Remove @folder and what is in it. */
void sim_mirror_remove(const char *folder);

#endif
