/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool tell(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool told = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        (void)close(fd);
    return told;
}

/* Each of us is in it who he is outside; nobody else is. */
static bool map_ids(uid_t uid, gid_t gid)
{
    char users[48], groups[48];
    (void)snprintf(users, sizeof users, "%u %u 1", (unsigned)uid, (unsigned)uid);
    (void)snprintf(groups, sizeof groups, "%u %u 1", (unsigned)gid, (unsigned)gid);
    return tell("/proc/self/setgroups", "deny") && tell("/proc/self/uid_map", users) &&
           tell("/proc/self/gid_map", groups);
}

static bool raise_loopback(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && ioctl(fd, SIOCGIFFLAGS, &request) == 0;
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP | IFF_RUNNING);
    up = up && ioctl(fd, SIOCSIFFLAGS, &request) == 0;
    if (fd >= 0)
        (void)close(fd);
    return up;
}

/* Those of the namespace are ours as who made it, and would come back to the user 0 at each program that is started. */
static bool drop_privileges(void)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0};
    for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
            return false;
    }
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_capset, &head, none) == 0;
}

int netns_enter(struct err *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)
        return err_set(
            err, ERR_UNSUPPORTED,
            "a network namespace of its own cannot be had: %s; the system has to let users make them "
            "(user.max_user_namespaces, kernel.unprivileged_userns_clone)",
            strerror(errno));
    if (!map_ids(uid, gid) || !raise_loopback())
        return err_set(err, ERR_UNSUPPORTED,
                       "a network namespace of its own was had but cannot be used: %s; is it held by the "
                       "system's policy (kernel.apparmor_restrict_unprivileged_userns)?",
                       strerror(errno));
    if (!drop_privileges())
        return err_set(err, ERR_UNSUPPORTED, "cannot give up the privileges of the namespace: %s",
                       strerror(errno));
    return 0;
}
