#ifndef MM_BASE_CHECK_H
#define MM_BASE_CHECK_H

// Asserts an invariant of ours, in release builds too: prints the condition, file and line to
// stderr and aborts. Never for bad input: that is an error value.
#define MM_CHECK(cond) ((cond) ? (void)0 : mm_check_failed(#cond, __FILE__, __LINE__))

__attribute__((noreturn, cold)) void mm_check_failed(const char *cond, const char *file, int line);

#endif
