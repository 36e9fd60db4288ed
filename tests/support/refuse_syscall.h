#ifndef TESTS_SUPPORT_REFUSE_SYSCALL_H
#define TESTS_SUPPORT_REFUSE_SYSCALL_H

// From now on this process, and all that it starts, gets this errno from that system call (SYS_...)
// and nothing is done, as under a container's profile. There is no way back.
void refuse_syscall(long number, int error);

#endif
