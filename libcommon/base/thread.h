#ifndef MM_BASE_THREAD_H
#define MM_BASE_THREAD_H

// The calling thread does work that nobody waits for: from now on, and for good (an unprivileged
// thread cannot take it back), it has a fifth of the weight that it had when it wants a core at the
// same time as others, and never takes one from a thread that runs.
//
// Without this a service's tick has to share a core, fairly, with whoever compresses a snapshot
// just then, for as many milliseconds as that takes: players see it as ticks that come late. A core
// that has nothing else to do is all its own, and also beside threads that never rest it comes on:
// with two of them on its core, it has a tenth; with ten, a fiftieth, so that 100 ms take 5 s.
// (With a tenth of the weight, or none, what is to bound a restart would be put off for too long
// there.) It weighs threads of one CPU group (cgroup, session) against each other: where each
// service is given a group of its own, a thread only gives way to its own service's. What the
// kernel refuses stays as it was; no harm is done.
void mm_thread_stand_back(void);

#endif
